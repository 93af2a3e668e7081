import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './run-command.mjs';
import { runScript, setUp } from './setup.mjs';

const repeatedSignalMs = 1_000;
const orphanCheckMs = 250;

/**
 * Starts the server and ends as it ends.
 *
 * It gets a process group of its own: the terminal sends Ctrl-C to the whole group, and npm sends it once more to its
 * child, and the server would take the second one for "stop at once". So signals arrive here only, repetitions within a
 * second are dropped, and the server gets one.
 */
function start() {
  const server = spawn(process.execPath, ['--enable-source-maps', join(root, 'dist/main.js')], {
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
 * The script in package.json says `exec`, so that npm is the parent and not a shell, which would pass no signal on.
 * An npm that is killed with -9 takes nothing along. The server would go on unseen and keep its port and its data.
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
  await setUp();
  start();
});
