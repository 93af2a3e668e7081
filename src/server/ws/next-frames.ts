import type { ExecutionResult } from 'graphql';
import { type Printed, toPrinted } from '../graphql/limits/large-answers.js';
import type { PrintResult } from '../graphql/print.js';
import { createFrameStart, createTextFrame } from './text-frame.js';

/** The frame of a result as it was last sent: only its start differs between subscribers. */
interface Sent {
  id: string;
  frame: Buffer;
  /** How many bytes at the end of the frame are the same for all subscribers. */
  readonly sharedBytes: number;
}

const sent = new WeakMap<ExecutionResult, Sent>();

/**
 * Returns a result as a `next` message of graphql-transport-ws, in which only the operation's id differs between subscribers.
 * Builds the frame again only for another id: clients of one kind number their operations alike.
 */
export function nextFrameOf(result: ExecutionResult, id: string, print: PrintResult): Buffer {
  const last = sent.get(result);
  if (last === undefined) {
    // Includes the closing brace of the message.
    const payload = `${print(result)}}`;
    const frame = createNextFrame(id, payload);
    sent.set(result, { id, frame, sharedBytes: Buffer.byteLength(payload) });
    return frame;
  }
  if (last.id !== id) {
    last.frame = createNextFrame(id, last.frame.subarray(-last.sharedBytes));
    last.id = id;
  }
  return last.frame;
}

const createNextFrame = (id: string, payload: string | Buffer): Buffer => createTextFrame(startOf(id), payload);

/** The same message for an answer that is printed already, as one frame in pieces. */
export const toNextFrame = ({ pieces, bytes }: Printed, id: string): Printed =>
  toPrinted(createFrameStart(startOf(id), bytes + 1), ...pieces, '}');

const startOf = (id: string): string => `{"id":${JSON.stringify(id)},"type":"next","payload":`;
