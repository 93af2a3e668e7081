import { ChatError } from '../../domain/errors.js';
import { asBoolean, asFields, ForeignBodyError, parseBody } from './fields.js';
import type { NatsPubSub } from './nats-pub-sub.js';
import { fileScanSubject } from './subjects.js';

/** A scanner takes its time. */
const scanTimeoutMs = 30_000;
const encoder = new TextEncoder();

/**
 * Asks the platform's scanner about a file. Anything but a clear answer counts as none.
 * @throws {ChatError} UNAVAILABLE if there is none
 */
export async function requestScan(pubsub: NatsPubSub, request: object): Promise<{ readonly isClean: boolean }> {
  try {
    const body = await pubsub.request(fileScanSubject, encoder.encode(JSON.stringify(request)), scanTimeoutMs);
    return { isClean: asBoolean(asFields<'clean'>(parseBody(body)).clean) };
  } catch (error) {
    const why = error instanceof ForeignBodyError ? 'has not answered { "clean": true } or false' : 'does not answer';
    throw new ChatError('UNAVAILABLE', `The scanner of files (${fileScanSubject}) ${why}`, { cause: error });
  }
}
