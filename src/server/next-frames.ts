import type { ExecutionResult } from 'graphql';
import type { ClientSocket } from './client-socket.js';
import { type MaskError, toFormatted } from './errors.js';
import { createTextFrame } from './text-frame.js';

/** Each result in JSON, with the end of the message: subscribers who share an execution share this too. */
const payloads = new WeakMap<ExecutionResult, Buffer>();

function payloadOf(result: ExecutionResult, maskError: MaskError): Buffer {
  let payload = payloads.get(result);
  if (payload === undefined) {
    const { errors, ...rest } = result;
    const masked = errors === undefined ? {} : { errors: errors.map((error) => toFormatted(maskError(error))) };
    payload = Buffer.from(`${JSON.stringify({ ...rest, ...masked })}}`);
    payloads.set(result, payload);
  }
  return payload;
}

/**
 * Sends what a subscription yields as `next` messages of graphql-transport-ws, which differ between subscribers in their
 * operation's id alone. The iterator that it hands on yields nothing and ends when the results do, so that graphql-ws
 * keeps the operation's whole life: its completion by either side, and its end with the socket.
 */
export function sendResults(
  results: AsyncIterableIterator<ExecutionResult>,
  { id, socket, maskError }: { readonly id: string; readonly socket: ClientSocket; readonly maskError: MaskError },
): AsyncIterableIterator<never> {
  const start = `{"id":${JSON.stringify(id)},"type":"next","payload":`;
  let isEnded = false;
  const sending: AsyncIterableIterator<never> = {
    [Symbol.asyncIterator]: () => sending,
    async next() {
      try {
        while (!isEnded) {
          const { done, value } = await results.next();
          if (done === true || isEnded) break;
          const caughtUp = socket.push(createTextFrame(start, payloadOf(value, maskError)));
          if (caughtUp !== undefined) await caughtUp;
        }
      } catch (error) {
        // Nobody returns an iterator that has thrown.
        await sending.return?.();
        throw error;
      }
      return { done: true, value: undefined };
    },
    async return() {
      isEnded = true;
      await results.return?.();
      return { done: true, value: undefined };
    },
  };
  return sending;
}
