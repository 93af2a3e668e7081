import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { ChildServer, hasEnded, type StopPlan, stopForeignProcess } from './child-server.js';
import { readOrCreateSecret } from './data-dir.js';
import { findFreePort } from './free-port.js';
import { findNatsServer, installNatsServer } from './nats-binary.js';
import { readCommandLine } from './process-identity.js';

export interface EmbeddedNats {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly port: number;
  readonly pid: number;
  /** Resolves once the streams are on disk and the server has ended. */
  stop(): Promise<void>;
  /** Simulates a crash with SIGKILL; resolves once the server has ended. */
  kill(): Promise<void>;
  /** Ends the server without waiting, for a process that is exiting. */
  killNow(): void;
}

interface NatsServerOptions {
  readonly dataDir: string;
  readonly log: Logger;
  /** The port to use; by default a free one. */
  readonly port?: number;
}

const user = 'fairway';
const readyTimeoutMs = 30_000;
const attempts = 5;
const stopPlan: StopPlan = [
  ['SIGTERM', 8_000],
  ['SIGKILL', 2_000],
];

/**
 * Starts a nats-server with JetStream on 127.0.0.1, with its store in `<dataDir>/nats`. A server that a killed Fairway left
 * running there is stopped first. If the server ends unexpectedly, it is restarted on the same port.
 * @throws {NatsServerNotFoundError} if it is missing and cannot be installed
 */
export async function startNatsServer({ dataDir, log, port }: NatsServerOptions): Promise<EmbeddedNats> {
  const binary = findNatsServer() ?? (await installNatsServer());
  const folder = join(resolve(dataDir), 'nats');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const password = readOrCreateSecret(folder, 'password');
  await stopLeftover(folder, log);

  for (let attempt = 1; ; attempt += 1) {
    const chosen = port ?? (await findFreePort());
    writeFileSync(configPath(folder), describeServer(folder, chosen, password), { mode: 0o600 });
    try {
      const server = await ChildServer.start({
        name: 'nats-server',
        spawn: () => spawnNats(binary, folder),
        waitUntilReady: (child) => waitUntilReady(folder, child, chosen),
        stopPlan,
        killSignal: 'SIGKILL',
        log,
      });
      return {
        url: `nats://127.0.0.1:${chosen}`,
        user,
        password,
        port: chosen,
        get pid() {
          return server.pid;
        },
        stop: () => server.stop(),
        kill: () => server.kill(),
        killNow: server.killNow,
      };
    } catch (error) {
      if (attempt === attempts) throw error;
      log.debug({ err: error }, 'nats-server did not start; retrying');
      await delay(100 * attempt);
    }
  }
}

/** In the syntax of 2.9, which later versions read as well. Strings are constants, or JSON, which NATS escapes in the same way. */
function describeServer(folder: string, port: number, password: string): string {
  return `
host: "127.0.0.1"
port: ${port}
pid_file: ${JSON.stringify(pidPath(folder))}
max_payload: 1MB
authorization { user: "${user}", password: "${password}" }
jetstream { store_dir: ${JSON.stringify(join(folder, 'store'))} }
`;
}

/** Runs in its own process group, so that Ctrl-C does not stop it before the server that uses it. */
function spawnNats(binary: string, folder: string): ChildProcess {
  rmSync(logPath(folder), { force: true });
  const output = openSync(logPath(folder), 'a', 0o600);
  try {
    return spawn(binary, ['-c', configPath(folder)], {
      cwd: folder,
      detached: true,
      stdio: ['ignore', output, output],
    });
  } finally {
    closeSync(output);
  }
}

/** Waits for a greeting of our own process that offers JetStream: an open port alone may belong to another process. */
async function waitUntilReady(folder: string, child: ChildProcess, port: number): Promise<void> {
  const deadline = performance.now() + readyTimeoutMs;
  while (!hasEnded(child) && performance.now() < deadline) {
    const greeting = readPid(folder) === child.pid ? await readGreeting(port) : undefined;
    if (greeting?.includes('"jetstream":true')) return;
    await delay(10);
  }
  const output = existsSync(logPath(folder)) ? readFileSync(logPath(folder), 'utf8').slice(-4_000) : '';
  throw new Error(`nats-server ${hasEnded(child) ? 'ended' : 'is not ready'}:\n${output}`);
}

/** The `INFO {...}` line with which a NATS server opens every connection. */
function readGreeting(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const finish = (greeting: string | undefined) => {
      socket.destroy();
      resolve(greeting);
    };
    socket.setTimeout(1_000, () => finish(undefined));
    socket.on('error', () => finish(undefined));
    socket.on('close', () => resolve(undefined));
    socket.once('data', (bytes) => finish(bytes.toString()));
  });
}

/** Stops the process in the pid file only if it runs with our configuration; compare the same for PostgreSQL. */
async function stopLeftover(folder: string, log: Logger): Promise<void> {
  const pid = readPid(folder);
  if (pid !== undefined && readCommandLine(pid)?.endsWith(`-c ${configPath(folder)}`)) {
    log.info({ leftoverPid: pid }, 'Stopping the nats-server that a killed Fairway left behind');
    await stopForeignProcess(pid, stopPlan);
  }
  rmSync(pidPath(folder), { force: true });
}

const configPath = (folder: string) => join(folder, 'nats-server.conf');
const pidPath = (folder: string) => join(folder, 'nats-server.pid');
const logPath = (folder: string) => join(folder, 'server.log');

function readPid(folder: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(pidPath(folder), 'utf8'), 10);
    return Number.isNaN(pid) ? undefined : pid;
  } catch {
    return undefined;
  }
}
