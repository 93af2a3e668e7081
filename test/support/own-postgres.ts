import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { type EmbeddedPostgres, startPostgres } from '../../src/dev/embedded/postgres.js';
import { makeOpenFolder } from '../../src/dev/embedded/unprivileged.js';
import { query, type TestDatabase } from './database.js';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js';

const settings = { fsync: 'off', full_page_writes: 'off', wal_level: 'replica', max_wal_senders: '4' };
const log = pino({ level: 'warn' });

/** Starts a separate PostgreSQL with an empty database, for tests that would disturb others. */
export async function startOwnPostgres(folder = newFolder()): Promise<TestDatabase> {
  return toDatabase(await startServer(folder), folder);
}

/** Starts the server only; its folder remains when it stops. */
export const startServer = (folder: string): Promise<EmbeddedPostgres> =>
  startPostgres({ dataDir: folder, log, settings });

/** Starts two servers. The second follows the first over the link and is read-only until `SELECT pg_promote()`. */
export async function startReplicatedPostgres(): Promise<{
  primary: TestDatabase;
  standby: TestDatabase;
  link: TcpProxy;
}> {
  const [folder, copy] = [newFolder(), newFolder()];
  await (await startPostgres({ dataDir: folder, log, settings })).stop();
  execFileSync('cp', ['-a', `${folder}/.`, copy]);
  writeFileSync(join(copy, 'postgres/data/standby.signal'), '');
  const primary = await startPostgres({ dataDir: folder, log, settings });
  const link = await startTcpProxy(primary.url);
  const standby = toDatabase(
    await startPostgres({ dataDir: copy, log, settings: { ...settings, primary_conninfo: link.url } }),
    copy,
  );
  const drop = async () => {
    await standby.drop();
    await link.stop();
  };
  return { primary: toDatabase(primary, folder), standby: { ...standby, drop }, link };
}

const toDatabase = ({ url, stop }: EmbeddedPostgres, folder: string): TestDatabase => ({
  url,
  query: (sql, values) => query(url, sql, values),
  drop: async () => {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  },
});

/** Creates a folder that the user of PostgreSQL can traverse. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'fairway-own-'));
  rmSync(folder, { recursive: true });
  makeOpenFolder(folder);
  return folder;
}

/** A disk that can be filled. */
export interface SmallDisk {
  readonly folder: string;
  /** Fills the disk, also again after space became free. */
  fill(): void;
  /** Frees the space again. */
  empty(): void;
  remove(): void;
}

/** @throws {Error} if this machine does not allow to mount one */
export function mountSmallDisk(megabytes: number): SmallDisk {
  const folder = newFolder();
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=755`, 'none', folder], { stdio: 'pipe' });
  const filler = join(folder, 'filler');
  return {
    folder,
    fill: () => {
      const file = openSync(filler, 'a');
      try {
        for (let size = 2 ** 20; size >= 512; ) if (!hasWritten(file, size)) size /= 2;
      } finally {
        closeSync(file);
      }
    },
    empty: () => rmSync(filler),
    remove: () => {
      execFileSync('umount', [folder]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function hasWritten(file: number, size: number): boolean {
  try {
    return writeSync(file, Buffer.alloc(size)) === size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}

/** Why tests that need a full disk are skipped; empty if they are not. */
export function whyNoSmallDisk(): string {
  try {
    mountSmallDisk(1).remove();
    return '';
  } catch {
    return 'only root may mount a disk, and not everywhere';
  }
}
