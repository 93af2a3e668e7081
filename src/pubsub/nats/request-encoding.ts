import { ChatError, type ErrorCode } from '../../domain/errors.js';

/** What a request over NATS is answered with, in JSON. */
export type Answer =
  | { readonly success: true; readonly data: unknown; readonly nextCursor?: string | null }
  | {
      readonly success: false;
      readonly error: string;
      readonly code: ErrorCode;
      /** Under which the log has it; with INTERNAL only. */
      readonly correlationId?: string;
    };

export interface Request {
  readonly payload: unknown;
  /** Null where it came as plain JSON. */
  readonly envelope: { readonly id: string | undefined } | null;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/**
 * Plain JSON is the payload itself. NestJS's NATS client wraps it: `{ pattern, data, id }`, without an id for an event.
 * @throws {ChatError} BAD_USER_INPUT where it is not JSON
 */
export function decodeRequest(body: Uint8Array): Request {
  const value = parseJson(body);
  if (!isNestPacket(value)) return { payload: value, envelope: null };
  return { payload: value.data, envelope: { id: value.id } };
}

/**
 * In the form in which the request came. To NestJS a refusal is a response like any other, as the seeds' callers expect;
 * a fault of this server has the form in which a NestJS service reports one, and is thrown by the client.
 */
export function encodeAnswer(answer: Answer, envelope: Request['envelope']): Uint8Array {
  return encoder.encode(JSON.stringify(envelope === null ? answer : wrap(answer, envelope.id)));
}

function wrap(answer: Answer, id: string | undefined) {
  if (answer.success || answer.code !== 'INTERNAL') return { response: answer, isDisposed: true, id };
  const { error, code, correlationId } = answer;
  return { err: { status: 'error', message: error, code, correlationId }, isDisposed: true, id };
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(body));
  } catch (error) {
    throw new ChatError('BAD_USER_INPUT', 'The request is not JSON', { cause: error });
  }
}

type NestPacket = { readonly data?: unknown; readonly id?: string };

/** No payload of ours has a field `pattern`. */
function isNestPacket(value: unknown): value is NestPacket {
  if (typeof value !== 'object' || value === null || !('pattern' in value)) return false;
  const id = 'id' in value ? value.id : undefined;
  return (id === undefined && 'data' in value) || typeof id === 'string';
}
