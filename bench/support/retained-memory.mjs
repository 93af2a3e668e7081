import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { residentBytes } from './process-usage.mjs';

/** Allow the bench to make a server collect its garbage. */
export const inspectorArgs = ['--inspect=127.0.0.1:0'];

const settleMs = 500;

/**
 * The memory of a server after full collections, in bytes: its resident set, and its heap with the buffers outside of it.
 * @param {import('./server-process.mjs').ServerProcess} server started with `inspectorArgs`
 */
export async function measureMemory(server) {
  const address = /ws:\/\/127\.0\.0\.1:\d+\/\S+/.exec(server.output())?.[0];
  if (address === undefined) throw new Error('The server was not started with inspectorArgs');
  const socket = new WebSocket(address);
  await once(socket, 'open');
  let lastId = 0;
  /** @param {string} method @param {Record<string, unknown>} [params] */
  const call = async (method, params = {}) => {
    lastId += 1;
    socket.send(JSON.stringify({ id: lastId, method, params }));
    const [data] = await once(socket, 'message');
    return JSON.parse(String(data)).result;
  };
  for (let time = 0; time < 3; time += 1) {
    await call('HeapProfiler.collectGarbage');
    await delay(settleMs);
  }
  const { result } = await call('Runtime.evaluate', {
    expression: '(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())',
  });
  socket.terminate();
  await delay(settleMs);
  return { resident: residentBytes(server.pid), retained: Number(result.value) };
}
