import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './run-command.mjs';
import { serverArguments } from './server-arguments.mjs';
import { runScript, setUp } from './setup.mjs';

const repeatedSignalMs = 1_000;
const orphanCheckMs = 250;

/**
 * Starts the server and exits with its exit code.
 *
 * The server runs in its own process group: the terminal sends Ctrl-C to a whole group and npm sends it again to its child,
 * so the server would take the second signal for "stop immediately". Instead signals arrive here, repetitions within a
 * second are dropped, and the server receives one.
 */
function start() {
  const server = spawn(process.execPath, [...serverArguments, join(root, 'dist/main.js')], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    detached: true,
  });
  let lastSignalAt = Number.NEGATIVE_INFINITY;
  /** @param {NodeJS.Signals} signal */
  const forward = (signal) => {
    if (performance.now() - lastSignalAt < repeatedSignalMs) return;
    lastSignalAt = performance.now();
    server.kill(signal);
  };
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.on(signal, forward);
  stopWhenOrphaned(() => forward('SIGTERM'));

  server.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGKILL' ? 137 : 1)));
}

/**
 * Stops when npm is gone. The script in package.json uses `exec`, so that npm is the parent, and not a shell, which would not
 * forward signals. If npm is killed with -9, nothing else would stop the server, which holds its port and its data.
 * @param {() => void} stop
 */
function stopWhenOrphaned(stop) {
  if (process.env['npm_lifecycle_event'] === undefined) return;
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) stop();
  }, orphanCheckMs).unref();
}

await runScript(async () => {
  await setUp({ web: true });
  start();
});
