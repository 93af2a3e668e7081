import type { ExecutionResult } from 'graphql';
import type { PrintResult } from '../graphql/print.js';
import { createTextFrame } from './text-frame.js';

/** A result on the wire, as the one to whom it was sent last got it: all but its start is the same for all. */
interface Sent {
  id: string;
  frame: Buffer;
  /** How many of the frame's last bytes are not for one subscriber alone. */
  readonly sharedBytes: number;
}

const sent = new WeakMap<ExecutionResult, Sent>();

/**
 * A result as a `next` message of graphql-transport-ws, which differs between subscribers in their operation's id alone.
 * Made anew for another id only: clients of one kind count their operations alike.
 */
export function nextFrameOf(result: ExecutionResult, id: string, print: PrintResult): Buffer {
  const last = sent.get(result);
  if (last === undefined) {
    // With the end of the message that it is in.
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

const createNextFrame = (id: string, payload: string | Buffer): Buffer =>
  createTextFrame(`{"id":${JSON.stringify(id)},"type":"next","payload":`, payload);
