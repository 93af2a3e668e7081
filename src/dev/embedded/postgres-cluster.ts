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

/** The data is where it cannot be used from; the message says what to do. */
export class ClusterUnusableError extends Error {
  override readonly name = 'ClusterUnusableError';
}

/**
 * The folder of the cluster and its log: `<dataDir>/postgres`, or what that links to.
 *
 * PostgreSQL refuses to run as root, so under root it runs as another user, and that user must be able to pass through
 * every folder on the way to its data. A clone in /root (mode 700) has no such way, and opening root's home for it is not
 * ours to decide. Then the cluster goes to a folder of its own under /var/lib/fairway, and a link in the data folder
 * keeps the two together.
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

/** The major version that made the cluster, or undefined where there is none yet. */
export function readClusterMajor(dataDir: string): number | undefined {
  const path = join(dataDir, 'postgres', 'data', 'PG_VERSION');
  return existsSync(path) ? Number.parseInt(readFileSync(path, 'utf8'), 10) : undefined;
}

/**
 * Makes the cluster if it is not there: UTF-8, locale C, one superuser with a password, one database. It is made under
 * another name and moved into place when complete, so an interrupted first start leaves nothing that looks finished.
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

/** Whom the cluster belongs to must be whom it runs as; PostgreSQL's own message on that helps nobody. */
export function assertOwnCluster(folder: string, { uid = process.getuid?.() }: RunAs): void {
  const owner = statSync(folder).uid;
  if (uid === undefined || owner === uid) return;
  throw new ClusterUnusableError(
    `${folder} belongs to another user (${owner}). Use another DATA_DIR, or start as that user.`,
  );
}

function run(binaries: PostgresBinaries, program: string, runAs: RunAs, args: string[], input = ''): void {
  const env = { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' };
  // The present folder may be one that this user cannot enter.
  const result = spawnSync(join(binaries.folder, program), args, { ...runAs, cwd: '/', env, input, encoding: 'utf8' });
  if (result.status === 0) return;
  throw new Error(`${program} failed: ${result.error?.message ?? ''}${result.stderr ?? ''}${result.stdout ?? ''}`);
}
