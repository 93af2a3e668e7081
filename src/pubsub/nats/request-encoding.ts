import { ChatError, type ErrorCode } from '../../domain/errors.js';

/** The answer to a request over NATS, sent as JSON. */
export type Answer =
  | { readonly success: true; readonly data: unknown; readonly nextCursor?: string | null }
  | {
      readonly success: false;
      readonly error: string;
      readonly code: ErrorCode;
      /** How long to wait before a retry; for RATE_LIMITED only. */
      readonly retryAfterMs?: number;
      /** Finds the cause in the log; for INTERNAL only. */
      readonly correlationId?: string;
    };

export interface Request {
  readonly payload: unknown;
  /** Null for plain JSON. */
  readonly envelope: { readonly id: string | undefined } | null;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/**
 * Decodes plain JSON, which is the payload itself, or the packet of NestJS's NATS client: `{ pattern, data, id }`, without an
 * id for an event.
 * @throws {ChatError} BAD_USER_INPUT if the body is not JSON
 */
export function decodeRequest(body: Uint8Array): Request {
  const value = parseJson(body);
  if (!isNestPacket(value)) return { payload: value, envelope: null };
  return { payload: value.data, envelope: { id: value.id } };
}

/**
 * Encodes the answer in the format of the request. For NestJS a refusal is a normal response with `success: false`, which
 * existing callers expect. An INTERNAL error uses the error format of a NestJS service, so that the client throws it.
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

/** A field `pattern` is unambiguous: no request payload has one. */
function isNestPacket(value: unknown): value is NestPacket {
  if (typeof value !== 'object' || value === null || !('pattern' in value)) return false;
  const id = 'id' in value ? value.id : undefined;
  return (id === undefined && 'data' in value) || typeof id === 'string';
}
