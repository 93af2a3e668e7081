import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pino } from 'pino';
import { findNatsServer } from '../../src/dev/embedded/nats-binary.js';
import { type EmbeddedNats, startNatsServer } from '../../src/dev/embedded/nats-server.js';
import { findOwnPort } from './own-port.js';
import { waitFor } from './wait-for.js';

/** A nats-server for one test file, which can be made to fail. `user` and `password` are the chat server's. */
export interface TestNats {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly port: number;
  /** The logins of other backends, of the booking system, of a notifier, and of the operator of JetStream. */
  readonly logins: Readonly<Record<'backend' | 'booking' | 'notifier' | 'operator', Login>>;
  /** Sends SIGKILL; the server stays away until `restart`. */
  kill(): Promise<void>;
  /** Kills the server if it runs, and starts it on the same port with the same password; `wipe` empties the store. */
  restart(options: { wipe: boolean }): Promise<void>;
  /** The number of refused logins. */
  refusals(): number;
  /** Stops it and removes its files. */
  stop(): Promise<void>;
}

export interface Login {
  readonly user: string;
  readonly pass: string;
  /** The only prefix of inboxes to which it may subscribe. */
  readonly inboxPrefix?: string;
}

/** Starts a server on the given or a free port, with a new password. */
export async function startNats(where: { port?: number } = {}): Promise<TestNats> {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairway-nats-'));
  const log = pino({ level: 'warn' });
  const port = where.port ?? (await findOwnPort());
  let server: EmbeddedNats = await startNatsServer({ dataDir, log, port });
  const { url, user, password } = server;
  const login = { user, pass: password };
  return {
    url,
    user,
    password,
    port,
    logins: { backend: login, booking: login, notifier: login, operator: login },
    kill: () => server.kill(),
    restart: async ({ wipe }) => {
      await server.kill();
      if (wipe) rmSync(join(dataDir, 'nats/store'), { recursive: true, force: true });
      server = await startNatsServer({ dataDir, log, port });
    },
    refusals: () => countRefusals(join(dataDir, 'nats/server.log')),
    stop: async () => {
      await server.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

const deployedConfig = resolve(import.meta.dirname, '../../deploy/nats/nats-server.conf');
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts a server with the configuration in deploy/nats, including its permissions. */
export async function startDeployedNats(): Promise<TestNats> {
  const passwords = {
    FAIRWAY_NATS_PASSWORD: 'of-fairway',
    OPERATOR_NATS_PASSWORD: 'of-operator',
    BACKEND_NATS_PASSWORD: 'of-backend',
    BOOKING_NATS_PASSWORD: 'of-booking',
    NOTIFIER_NATS_PASSWORD: 'of-notifier',
  };
  const nats = await startProcess({ config: () => deployedConfig, env: passwords });
  return {
    ...nats,
    user: 'fairway',
    password: 'of-fairway',
    logins: {
      backend: { user: 'backend', pass: 'of-backend', inboxPrefix: '_INBOX.backend' },
      booking: { user: 'booking', pass: 'of-booking' },
      notifier: { user: 'notifier', pass: 'of-notifier', inboxPrefix: '_INBOX.notifier' },
      operator: { user: 'operator', pass: 'of-operator', inboxPrefix: '_INBOX.operator' },
    },
  };
}

/** Starts a server with these lines in its configuration and no permissions; `$NATS_STORE_DIR` is a folder for a store. */
export async function startNatsWith(lines: string): Promise<TestNats> {
  const [user, password] = ['fairway', 'of-fairway'];
  const login = { user, pass: password };
  const config = (dataDir: string) => {
    const path = join(dataDir, 'nats-server.conf');
    writeFileSync(path, `authorization { user: ${user}, password: ${password} }\n${lines}\n`);
    return path;
  };
  const logins = { backend: login, booking: login, notifier: login, operator: login };
  return { ...(await startProcess({ config })), user, password, logins };
}

interface Start {
  /** Returns the path of the configuration, and may create it in the server's folder. */
  readonly config: (dataDir: string) => string;
  readonly env?: Readonly<Record<string, string>>;
}

async function startProcess({ config, env }: Start): Promise<Omit<TestNats, 'user' | 'password' | 'logins'>> {
  const binary = findNatsServer();
  if (binary === undefined) throw new Error('There is no nats-server');
  const port = await findOwnPort();
  const dataDir = mkdtempSync(join(tmpdir(), 'fairway-nats-'));
  const logPath = join(dataDir, 'server.log');
  const storeDir = join(dataDir, 'store');
  const start = () =>
    spawnServer(binary, { port, logPath, config: config(dataDir), env: { ...env, NATS_STORE_DIR: storeDir } });
  let server = await start();
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    kill: () => end(server, 'SIGKILL'),
    restart: async ({ wipe }) => {
      await end(server, 'SIGKILL');
      if (wipe) rmSync(storeDir, { recursive: true, force: true });
      server = await start();
    },
    refusals: () => countRefusals(logPath),
    stop: async () => {
      await end(server, 'SIGTERM');
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

async function spawnServer(
  binary: string,
  at: { port: number; logPath: string; config: string; env: Readonly<Record<string, string>> },
) {
  rmSync(at.logPath, { force: true });
  const output = openSync(at.logPath, 'a');
  const child = spawn(binary, ['-c', at.config, '-a', '127.0.0.1', '-p', String(at.port)], {
    env: at.env,
    stdio: ['ignore', output, output],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  await waitFor(() => readFileSync(at.logPath, 'utf8').includes('Server is ready'), { what: 'the nats-server' });
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

const countRefusals = (logPath: string): number =>
  readFileSync(logPath, 'utf8').split('authentication error').length - 1;
