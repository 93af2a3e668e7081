import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { ChildServer, hasEnded, type StopPlan, stopForeignProcess } from './child-server.js';
import { readOrCreateSecret } from './data-dir.js';
import { findFreePort } from './free-port.js';
import { findPostgres, type PostgresBinaries } from './postgres-binaries.js';
import {
  assertOwnCluster,
  clusterName,
  createCluster,
  openClusterFolder,
  readClusterMajor,
} from './postgres-cluster.js';
import { readCommandLine } from './process-identity.js';
import { chooseUser, type RunAs } from './unprivileged.js';

export interface EmbeddedPostgres {
  readonly url: string;
  readonly pid: number;
  /** Resolves once all connections are closed, all data is on disk and the server has ended. */
  stop(): Promise<void>;
  /** Ends the server without waiting, for a process that is exiting; committed data is kept. */
  killNow(): void;
}

interface PostgresOptions {
  readonly dataDir: string;
  readonly log: Logger;
  /** More settings, such as `fsync: 'off'` for the database of a test run. */
  readonly settings?: Readonly<Record<string, string>>;
}

const readyTimeoutMs = 60_000;
const attempts = 5;

/** A fast shutdown, then an immediate shutdown, then SIGKILL. */
const stopPlan: StopPlan = [
  ['SIGINT', 10_000],
  ['SIGQUIT', 3_000],
  ['SIGKILL', 2_000],
];

/** Keeps full durability: a committed transaction is on disk. Listens on 127.0.0.1 only, without a socket file. */
const defaultSettings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '300',
  shared_buffers: '128MB',
  fsync: 'on',
  synchronous_commit: 'on',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '1GB',
  checkpoint_timeout: '15min',
  jit: 'off',
  max_parallel_workers_per_gather: '0',
  dynamic_shared_memory_type: 'mmap',
  log_min_messages: 'warning',
  timezone: 'UTC',
  log_timezone: 'UTC',
};

/**
 * Starts a PostgreSQL on a free port of 127.0.0.1, with its data in `<dataDir>/postgres`, which the first start creates. A
 * server that a killed Fairway left running on the same data is stopped first. If the server ends unexpectedly, it is
 * restarted on the same port.
 */
export async function startPostgres({ log, settings = {}, ...options }: PostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = resolve(options.dataDir);
  const runAs = chooseUser(join(dataDir, 'postgres'));
  const binaries = findPostgres(readClusterMajor(dataDir), runAs);
  const folder = openClusterFolder(dataDir, runAs);
  assertOwnCluster(folder, runAs);
  const password = readOrCreateSecret(folder, 'password');
  createCluster(folder, binaries, password, runAs);
  await stopLeftover(folder, log);

  for (let attempt = 1; ; attempt += 1) {
    const port = await findFreePort();
    try {
      const server = await ChildServer.start({
        name: 'PostgreSQL',
        spawn: () => spawnPostgres(folder, binaries, runAs, { ...defaultSettings, ...settings, port: String(port) }),
        waitUntilReady: (child) => waitUntilReady(folder, child),
        stopPlan,
        killSignal: 'SIGQUIT',
        log,
      });
      const url = `postgresql://${clusterName}:${password}@127.0.0.1:${port}/${clusterName}`;
      return {
        url,
        get pid() {
          return server.pid;
        },
        stop: () => server.stop(),
        killNow: server.killNow,
      };
    } catch (error) {
      // Another process has taken the port, or backend processes of a killed server have not ended yet.
      if (attempt === attempts) throw error;
      log.debug({ err: error }, 'PostgreSQL did not start; retrying');
      await delay(200 * attempt);
    }
  }
}

/** Runs in its own process group: Ctrl-C signals a whole group, and the database must stop last. */
function spawnPostgres(
  folder: string,
  { folder: bin }: PostgresBinaries,
  runAs: RunAs,
  settings: Record<string, string>,
): ChildProcess {
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  rmSync(logPath(folder), { force: true });
  const output = openSync(logPath(folder), 'a', 0o600);
  try {
    return spawn(join(bin, 'postgres'), ['-D', join(folder, 'data'), ...args], {
      ...runAs,
      cwd: '/',
      env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' },
      detached: true,
      stdio: ['ignore', output, output],
    });
  } finally {
    closeSync(output);
  }
}

/** The server writes `ready` into the last line of its pid file when it accepts connections. */
async function waitUntilReady(folder: string, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + readyTimeoutMs;
  while (!hasEnded(child) && performance.now() < deadline) {
    const lines = readPidFile(folder);
    if (lines[0] === String(child.pid) && lines[7]?.trim() === 'ready') return;
    await delay(10);
  }
  const output = existsSync(logPath(folder)) ? readFileSync(logPath(folder), 'utf8').slice(-4_000) : '';
  throw new Error(`PostgreSQL ${hasEnded(child) ? 'ended' : 'is not ready'}:\n${output}`);
}

/**
 * After `kill -9` of Fairway its PostgreSQL keeps running. The process in the pid file is stopped only if our data folder is
 * in its command line, because another process may have the number by now. The caller holds the lock on the data folder,
 * so no running Fairway owns that server. Then the file is removed: PostgreSQL would take a reused number for a running
 * server.
 */
async function stopLeftover(folder: string, log: Logger): Promise<void> {
  const pid = Number.parseInt(readPidFile(folder)[0] ?? '', 10);
  if (Number.isNaN(pid)) return;
  if (readCommandLine(pid)?.includes(`-D ${join(folder, 'data')} `)) {
    log.info({ leftoverPid: pid }, 'Stopping the PostgreSQL that a killed Fairway left behind');
    await stopForeignProcess(pid, stopPlan);
  }
  rmSync(pidPath(folder), { force: true });
}

const logPath = (folder: string) => join(folder, 'server.log');
const pidPath = (folder: string) => join(folder, 'data', 'postmaster.pid');

function readPidFile(folder: string): string[] {
  try {
    return readFileSync(pidPath(folder), 'utf8').split('\n');
  } catch {
    return [];
  }
}
