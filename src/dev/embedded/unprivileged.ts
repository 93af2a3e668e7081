import { chmodSync, chownSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** The user whom a server runs as, for `child_process.spawn`; empty where it is the user of this process. */
export interface RunAs {
  readonly uid?: number;
  readonly gid?: number;
}

/** `nobody` on every Linux; PostgreSQL refuses to run as root. */
const nobody = 65_534;

/** Under root the owner of that folder, or nobody where it is root's or not there yet; else the present user. */
export function chooseUser(folder: string): RunAs {
  if (process.getuid?.() !== 0) return {};
  const owner = existsSync(folder) ? statSync(folder) : undefined;
  return owner === undefined || owner.uid === 0 ? { uid: nobody, gid: nobody } : { uid: owner.uid, gid: owner.gid };
}

/** Whether that user may pass through every folder on the way to `path`, itself not included. */
export function canReach(path: string, { uid, gid }: RunAs): boolean {
  if (uid === undefined) return true;
  for (let folder = dirname(resolve(path)); ; folder = dirname(folder)) {
    if (existsSync(folder) && !canEnter(folder, uid, gid)) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** Creates a folder that this user alone can use; one that exists is left as it is. */
export function makePrivateFolder(path: string, { uid, gid }: RunAs): void {
  if (existsSync(path)) return;
  makeOpenFolder(dirname(path));
  mkdirSync(path, { mode: 0o700 });
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
}

/** Creates the folder so that everybody can pass through it, whatever the umask; one that exists is left as it is. */
export function makeOpenFolder(path: string): void {
  if (existsSync(path)) return;
  makeOpenFolder(dirname(path));
  mkdirSync(path);
  chmodSync(path, 0o755);
}

/** Whether that user may run the program, as far as the way to it and its own mode go. */
export const canRun = (program: string, runAs: RunAs): boolean =>
  canReach(program, runAs) && (runAs.uid === undefined || canEnter(program, runAs.uid, runAs.gid));

function canEnter(folder: string, uid: number, gid: number | undefined): boolean {
  const { mode, uid: owner, gid: group } = statSync(folder);
  if (owner === uid) return (mode & 0o100) !== 0;
  if (group === gid) return (mode & 0o010) !== 0;
  return (mode & 0o001) !== 0;
}
