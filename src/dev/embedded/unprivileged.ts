import { chmodSync, chownSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** The user that a server runs as, for `child_process.spawn`; empty for the user of this process. */
export interface RunAs {
  readonly uid?: number;
  readonly gid?: number;
}

/** `nobody` on every Linux; PostgreSQL refuses to run as root. */
const nobody = 65_534;

/** Under root, the folder's owner, or `nobody` if that is root or the folder does not exist; otherwise the current user. */
export function chooseUser(folder: string): RunAs {
  if (process.getuid?.() !== 0) return {};
  const owner = existsSync(folder) ? statSync(folder) : undefined;
  return owner === undefined || owner.uid === 0 ? { uid: nobody, gid: nobody } : { uid: owner.uid, gid: owner.gid };
}

/** Whether the user may enter every folder on the way to `path`, without `path` itself. */
export function canReach(path: string, { uid, gid }: RunAs): boolean {
  if (uid === undefined) return true;
  for (let folder = dirname(resolve(path)); ; folder = dirname(folder)) {
    if (existsSync(folder) && !canEnter(folder, uid, gid)) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** Creates a folder that only this user can access; an existing one is not changed. */
export function makePrivateFolder(path: string, { uid, gid }: RunAs): void {
  if (existsSync(path)) return;
  makeOpenFolder(dirname(path));
  mkdirSync(path, { mode: 0o700 });
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
}

/** Creates a folder that every user can enter, regardless of the umask; an existing one is not changed. */
export function makeOpenFolder(path: string): void {
  if (existsSync(path)) return;
  makeOpenFolder(dirname(path));
  mkdirSync(path);
  chmodSync(path, 0o755);
}

/** Whether the user may execute the program, by the modes of its folders and of the file itself. */
export const canRun = (program: string, runAs: RunAs): boolean =>
  canReach(program, runAs) && (runAs.uid === undefined || canEnter(program, runAs.uid, runAs.gid));

function canEnter(folder: string, uid: number, gid: number | undefined): boolean {
  const { mode, uid: owner, gid: group } = statSync(folder);
  if (owner === uid) return (mode & 0o100) !== 0;
  if (group === gid) return (mode & 0o010) !== 0;
  return (mode & 0o001) !== 0;
}
