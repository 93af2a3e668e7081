import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { z } from 'zod';
import { ChatError } from '../domain/errors.js';
import type { Answer } from '../pubsub/nats/request-encoding.js';
import type { Endpoint } from '../pubsub/nats/responder.js';
import type { Deps } from '../resolvers/deps.js';
import { parsePayload } from './payloads.js';

/** The result of a request; `nextCursor` continues a list that has more entries. */
export interface Result {
  readonly data: unknown;
  readonly nextCursor?: string | null;
}

/** A subject, with its row of the table in docs/backends.md. */
export interface Service {
  readonly subject: string;
  readonly payload: z.ZodType;
  /** The `data` of the answer. */
  readonly answer: string;
  readonly createEndpoint: (deps: Deps, log: Logger) => Endpoint;
}

/** Declares a service that validates the payload and runs `ask`. Errors become answers, too. */
export const service = <Payload>(
  subject: string,
  answer: string,
  payload: z.ZodType<Payload>,
  ask: (deps: Deps, payload: Payload) => Promise<Result>,
  options: Pick<Endpoint, 'isBatched'> = {},
): Service => ({
  subject,
  payload,
  answer,
  createEndpoint: (deps, log) => ({
    ...options,
    subject,
    answer: async (request) => {
      try {
        return { success: true, ...(await ask(deps, parsePayload(payload, request))) };
      } catch (error) {
        return toRefusal(error, subject, log);
      }
    },
  }),
});

/** Returns a ChatError unchanged. Any other error is a bug, which is logged and returned as INTERNAL, as over GraphQL. */
function toRefusal(error: unknown, subject: string, log: Logger): Answer {
  if (error instanceof ChatError) {
    const { message, code, retryAfterMs } = error;
    return { success: false, error: message, code, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  }
  const correlationId = randomUUID();
  log.error({ err: error, correlationId, subject }, 'A request failed unexpectedly');
  return { success: false, error: 'Something went wrong on our side', code: 'INTERNAL', correlationId };
}
