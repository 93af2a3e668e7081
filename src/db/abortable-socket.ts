import { Socket } from 'node:net';

/**
 * Creates a socket that is destroyed when the signal aborts. The option `signal` of `Socket` does the same, but its listener
 * stays when the socket has closed: a signal that outlives its sockets would keep each of them, and all that they refer to.
 */
export function createAbortableSocket(signal: AbortSignal): Socket {
  const socket = new Socket();
  const destroy = () => void socket.destroy(signal.reason);
  if (signal.aborted) destroy();
  signal.addEventListener('abort', destroy);
  socket.once('close', () => signal.removeEventListener('abort', destroy));
  return socket;
}
