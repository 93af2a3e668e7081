import { fork } from 'node:child_process';
import { once } from 'node:events';

/**
 * A module of bench/load in its own process, so that the load never shares an event loop with a server or the runner.
 * @typedef {object} Worker
 * @property {number} pid
 * @property {(method: string, ...args: unknown[]) => Promise<any>} call resolves with the result of the module's method
 * @property {() => Promise<void>} stop
 */

/**
 * @param {string} name of a file in bench/load
 * @returns {Worker}
 */
export function startWorker(name) {
  const child = fork(new URL(`../load/${name}.mjs`, import.meta.url));
  const killNow = () => child.kill('SIGKILL');
  process.once('exit', killNow);
  /** @type {Map<number, { resolve: (value: unknown) => void, reject: (error: Error) => void }>} */
  const calls = new Map();
  let lastId = 0;
  child.on('message', (/** @type {{ id: number, result?: unknown, error?: string }} */ { id, result, error }) => {
    const call = calls.get(id);
    calls.delete(id);
    if (error === undefined) call?.resolve(result);
    else call?.reject(new Error(`${name}: ${error}`));
  });
  child.on('exit', (code, signal) => {
    process.off('exit', killNow);
    for (const { reject } of calls.values()) reject(new Error(`The load process ${name} ended with ${code ?? signal}`));
  });
  return {
    pid: child.pid ?? -1,
    call: (method, ...args) =>
      new Promise((resolve, reject) => {
        lastId += 1;
        calls.set(lastId, { resolve, reject });
        child.send({ id: lastId, method, args });
      }),
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      killNow();
      await once(child, 'exit');
    },
  };
}

/**
 * Answers the calls of `startWorker` in a load process.
 * @param {Record<string, (...args: any[]) => unknown>} methods
 */
export function serveCalls(methods) {
  process.on('message', async (/** @type {{ id: number, method: string, args: unknown[] }} */ { id, method, args }) => {
    try {
      process.send?.({ id, result: await methods[method]?.(...args) });
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? error.stack : String(error) });
    }
  });
  process.on('disconnect', () => process.exit());
}
