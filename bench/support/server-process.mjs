import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { serverArguments } from '../../scripts/server-arguments.mjs';
import { manifestPath } from './documents.mjs';

const bench = join(import.meta.dirname, '..');
const startTimeoutMs = 60_000;
export const tokenSecret = 'a-secret-for-the-bench-of-32-bytes-or-more';

/**
 * @typedef {object} ServerProcess
 * @property {number} port
 * @property {number} pid
 * @property {() => string} output its output so far
 * @property {() => Promise<void>} stop
 */

/** @typedef {import('./stack.mjs').Stack} Stack */

/**
 * Starts Fairway as `npm start` runs it, in production. It checks tokens and memberships; only limits of one user are raised:
 * those per minute, and the number of sockets. The documents of the bench are registered, as those of an application are, and
 * so compiled.
 * @param {Pick<Stack, 'nats'>} stack
 * @param {string} databaseUrl
 * @param {{ nodeArgs?: string[], isInterpreted?: boolean | undefined, env?: Record<string, string> }} [options] `isInterpreted`: no
 *   documents are registered
 */
export const startFairway = ({ nats }, databaseUrl, { nodeArgs = [], isInterpreted = false, env = {} } = {}) =>
  startServer(join(bench, '../dist/main.js'), [...serverArguments, ...nodeArgs], {
    HOST: '127.0.0.1',
    // One process, as its peers are.
    WORKERS: '1',
    LOG_LEVEL: 'warn',
    DATABASE_URL: databaseUrl,
    NATS_URL: nats.url,
    NATS_USER: nats.user,
    NATS_PASSWORD: nats.password,
    AUTH_JWT_SECRET: tokenSecret,
    SENDS_PER_MINUTE: '1000000',
    COMPLEXITY_PER_MINUTE: '1000000000',
    CHANGES_PER_MINUTE: '1000000',
    OPERATIONS_PER_MINUTE: '1000000000',
    REPLAYED_PER_MINUTE: '1000000000',
    SUBSCRIPTIONS_PER_MINUTE: '1000000',
    MAX_SOCKETS_PER_USER: '10000',
    TRUSTED_DOCUMENTS: isInterpreted ? '' : manifestPath(),
    ...env,
  });

/**
 * @param {string} name of a file in bench/peers
 * @param {{ nodeArgs?: string[], env?: Record<string, string> }} [options]
 */
export const startPeer = (name, { nodeArgs = [], env = {} } = {}) =>
  startServer(join(bench, `peers/${name}.mjs`), nodeArgs, env);

/**
 * Starts a process of the system that Fairway replaces.
 * @param {'gateway' | 'service' | 'bff'} name
 * @param {Pick<Stack, 'nats'>} stack
 * @param {string} databaseUrl
 */
export const startSeeds = (name, { nats }, databaseUrl) =>
  startServer(join(bench, `peers/seeds/dist/${name}.js`), ['--enable-source-maps'], {
    DATABASE_URL: databaseUrl,
    NATS_URL: nats.url,
    NATS_USER: nats.user,
    NATS_PASSWORD: nats.password,
    JWT_SECRET: tokenSecret,
  });

/**
 * Resolves once the server has sent by IPC that it is ready, with its port.
 * @param {string} file
 * @param {string[]} nodeArgs
 * @param {Record<string, string>} env
 * @returns {Promise<ServerProcess>}
 */
async function startServer(file, nodeArgs, env) {
  const child = spawn(process.execPath, [...profileArgs(file), ...nodeArgs, file], {
    env: { PATH: process.env['PATH'], NODE_ENV: 'production', PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const killNow = () => child.kill('SIGKILL');
  process.once('exit', killNow);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text) => {
      output = (output + text).slice(-20_000);
    });
  }
  const port = await new Promise((resolve, reject) => {
    /** @param {string} why */
    const fail = (why) => {
      clearTimeout(timer);
      killNow();
      reject(new Error(`${file} ${why}. It wrote:\n${output}`));
    };
    const timer = setTimeout(() => fail(`is not ready after ${startTimeoutMs} ms`), startTimeoutMs);
    child.once('exit', (code, signal) => {
      process.off('exit', killNow);
      fail(`ended with ${code ?? signal}`);
    });
    child.on('message', (/** @type {{ type?: string, port?: number }} */ message) => {
      if (message.type !== 'ready') return;
      clearTimeout(timer);
      resolve(message.port);
    });
  });
  return {
    port,
    pid: child.pid ?? -1,
    output: () => output,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      const timer = setTimeout(killNow, 10_000);
      child.kill('SIGTERM');
      await exited;
      clearTimeout(timer);
    },
  };
}

/** `BENCH_PROFILE=<folder>`: every server writes a CPU profile there when it ends. */
const profileArgs = (/** @type {string} */ file) => {
  const folder = process.env['BENCH_PROFILE'];
  if (folder === undefined) return [];
  return ['--cpu-prof', `--cpu-prof-dir=${join(folder, file.includes('/peers/') ? 'peers' : 'fairway')}`];
};
