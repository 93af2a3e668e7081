import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { serverArguments } from '../../scripts/server-arguments.mjs';

/** A server process, started as in production. */
export interface Instance {
  readonly port: number;
  /** `http://127.0.0.1:port`, without a path. */
  readonly url: string;
  readonly pid: number;
  readonly process: ChildProcess;
  /** Its output so far, stdout and stderr in the order of arrival. */
  readonly output: () => string;
  /** Sends SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
  /** Sends SIGKILL; resolves once the process has ended. */
  kill(): Promise<void>;
}

interface InstanceOptions {
  readonly databaseUrl: string;
  readonly nats: { readonly url: string; readonly user: string; readonly password: string };
  readonly env?: Readonly<Record<string, string>>;
}

/** The secret with which the instances verify tokens, unless their `env` has another one. */
export const testSecret = 'a-secret-for-tests-of-32-bytes-or-more';

const main = resolve(import.meta.dirname, '../../dist/main.js');
/** A start takes two seconds on a machine of its own. */
const startTimeoutMs = 120_000;
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts an instance on a free port; resolves once it serves. */
export const startInstance = (options: InstanceOptions): Promise<Instance> => startProcess(toEnv(options));

/** Starts an instance that may never serve; `output` returns its output so far. */
export const spawnInstance = (options: InstanceOptions): { child: ChildProcess; output: () => string } =>
  spawnProcess(toEnv(options));

const toEnv = ({ databaseUrl, nats, env = {} }: InstanceOptions) => ({
  DATABASE_URL: databaseUrl,
  NATS_URL: nats.url,
  NATS_USER: nats.user,
  NATS_PASSWORD: nats.password,
  AUTH_JWT_SECRET: testSecret,
  ...env,
});

/** Starts an instance with embedded servers and the demo, as on a newcomer's machine. */
export const startEmbeddedInstance = (dataDir: string): Promise<Instance> => startProcess({ DATA_DIR: dataDir });

function spawnProcess(env: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, [...serverArguments, main], {
    env: { PATH: process.env.PATH, PORT: '0', HOST: '127.0.0.1', WORKERS: '1', LOG_LEVEL: 'warn', ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return { child, output: collectOutput(child) };
}

async function startProcess(env: Readonly<Record<string, string>>): Promise<Instance> {
  const { child, output } = spawnProcess(env);
  const port = await waitUntilReady(child, output);
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    pid: child.pid ?? -1,
    process: child,
    output,
    stop: async () => {
      await end(child, 'SIGTERM');
      return child.exitCode;
    },
    kill: () => end(child, 'SIGKILL'),
  };
}

function collectOutput(child: ChildProcess): () => string {
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
  }
  return () => text;
}

function waitUntilReady(child: ChildProcess, output: () => string): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      reject(new Error(`The instance ${why}. It wrote:\n${output()}`));
    };
    const timer = setTimeout(() => fail(`is not ready after ${startTimeoutMs} ms`), startTimeoutMs);
    child.once('close', (code, signal) => fail(`ended with ${code ?? signal}`));
    child.on('message', (message: { type?: string; port?: number }) => {
      if (message.type !== 'ready' || message.port === undefined) return;
      clearTimeout(timer);
      resolve(message.port);
    });
  });
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  // A process that stops has written its last lines when its output is closed; one that is killed may leave its workers.
  const ended = once(child, signal === 'SIGKILL' ? 'exit' : 'close');
  child.kill(signal);
  await ended;
}
