import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  existsSync,
  lstatSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { PostgresBinaries } from './postgres-binaries.js';
import { sharedFolder } from './shared-folder.js';
import { canReach, makePrivateFolder, type RunAs } from './unprivileged.js';

/** The user and the database of the embedded server. */
export const clusterName = 'fairway';

/** The data folder cannot be used; the message says what to do. */
export class ClusterUnusableError extends Error {
  override readonly name = 'ClusterUnusableError';
}

/**
 * The folder of the cluster and its log: `<dataDir>/postgres`, or the target of that link.
 *
 * PostgreSQL refuses to run as root, so under root it runs as another user, who needs access to every folder on the path to
 * its data. A clone in /root (mode 700) gives no such access, and changing the mode of root's home is not our decision.
 * In this case the cluster gets its own folder under /var/lib/fairway, and the data folder has a link to it.
 */
export function openClusterFolder(dataDir: string, runAs: RunAs): string {
  const path = join(dataDir, 'postgres');
  const link = lstatSync(path, { throwIfNoEntry: false });
  if (link?.isSymbolicLink() && !existsSync(path)) {
    throw new ClusterUnusableError(
      `${path} links to ${readlinkSync(path)}, which is gone. Bring it back, or remove the link to start empty.`,
    );
  }
  if (link !== undefined && canReach(join(realpathSync(path), 'data'), runAs)) return realpathSync(path);
  if (link !== undefined) {
    throw new ClusterUnusableError(
      `${path} lies where the user ${runAs.uid}, who runs PostgreSQL, cannot get. Move it or use another DATA_DIR.`,
    );
  }
  if (canReach(join(path, 'data'), runAs)) {
    makePrivateFolder(path, runAs);
    return path;
  }
  const elsewhere = join(sharedFolder, randomBytes(8).toString('hex'));
  makePrivateFolder(elsewhere, runAs);
  symlinkSync(elsewhere, path);
  return elsewhere;
}

/** The major version that made the cluster, or undefined if there is no cluster yet. */
export function readClusterMajor(dataDir: string): number | undefined {
  const path = join(dataDir, 'postgres', 'data', 'PG_VERSION');
  return existsSync(path) ? Number.parseInt(readFileSync(path, 'utf8'), 10) : undefined;
}

/**
 * Creates the cluster if it does not exist: UTF-8, locale C, one superuser with a password, one database. It is created under
 * another name and renamed when complete, so that an interrupted first start leaves no half-finished cluster.
 */
export function createCluster(folder: string, binaries: PostgresBinaries, password: string, runAs: RunAs): void {
  const data = join(folder, 'data');
  if (existsSync(join(data, 'PG_VERSION'))) return;
  const draft = join(folder, 'data.new');
  const passwordFile = join(folder, 'password.new');
  rmSync(draft, { recursive: true, force: true });
  writeFileSync(passwordFile, password, { mode: 0o600 });
  const { uid, gid } = runAs;
  if (uid !== undefined && gid !== undefined) chownSync(passwordFile, uid, gid);
  try {
    run(binaries, 'initdb', runAs, [
      ...['--pgdata', draft, '--username', clusterName, '--pwfile', passwordFile, '--auth', 'scram-sha-256'],
      ...['--encoding', 'UTF8', '--locale', 'C', '--no-instructions'],
    ]);
    run(binaries, 'postgres', runAs, ['--single', '-D', draft, 'postgres'], `CREATE DATABASE ${clusterName}\n`);
  } finally {
    rmSync(passwordFile, { force: true });
  }
  rmSync(data, { recursive: true, force: true });
  renameSync(draft, data);
}

/** PostgreSQL must run as the owner of the cluster. Checked here because PostgreSQL's own message does not help. */
export function assertOwnCluster(folder: string, { uid = process.getuid?.() }: RunAs): void {
  const owner = statSync(folder).uid;
  if (uid === undefined || owner === uid) return;
  throw new ClusterUnusableError(
    `${folder} belongs to another user (${owner}). Use another DATA_DIR, or start as that user.`,
  );
}

function run(binaries: PostgresBinaries, program: string, runAs: RunAs, args: string[], input = ''): void {
  const env = { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' };
  // This user may have no access to the current folder.
  const result = spawnSync(join(binaries.folder, program), args, { ...runAs, cwd: '/', env, input, encoding: 'utf8' });
  if (result.status === 0) return;
  throw new Error(`${program} failed: ${result.error?.message ?? ''}${result.stderr ?? ''}${result.stdout ?? ''}`);
}
