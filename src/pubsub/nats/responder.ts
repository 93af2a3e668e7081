import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node';
import pLimit from 'p-limit';
import type { Logger } from 'pino';
import { drain } from '../../domain/drain.js';
import { ChatError } from '../../domain/errors.js';
import { createDiscovery, type EndpointStats, type ServiceIdentity } from './discovery.js';
import type { NatsPubSub } from './nats-pub-sub.js';
import { type Answer, decodeRequest, encodeAnswer, type Request } from './request-encoding.js';

/** A subject whose requests are answered. */
export interface Endpoint {
  readonly subject: string;
  /** Whether its requests begin at once: they share statements, and may have to wait for something else than the database. */
  readonly isBatched?: boolean;
  /** Never rejects for a bad request: a refusal is an answer, too. */
  answer(payload: unknown): Promise<Answer>;
}

export interface Responder {
  /** Resolves once requests are received on the first connection to NATS. */
  readonly ready: Promise<void>;
  /** The number of requests that are not answered yet. */
  readonly underWay: number;
  /** Takes no more requests, and answers the pending ones, for 5 s at most. */
  close(): Promise<void>;
}

export const queueGroup = 'fairway';

/** More requests wait, which protects the database, unless they are batched. Beyond `maxUnderWay` they are refused. */
const maxConcurrent = 32;
const maxUnderWay = 10_000;
const drainTimeoutMs = 5_000;

/**
 * Answers requests on these subjects. All instances share them by a queue group, so each request is answered once. Survives
 * restarts of NATS and malformed requests.
 */
export function createResponder(
  nats: NatsPubSub,
  identity: ServiceIdentity,
  endpoints: readonly Endpoint[],
  log: Logger,
): Responder {
  return new QueueResponder(nats, identity, endpoints, log);
}

class QueueResponder implements Responder {
  readonly #nats: NatsPubSub;
  readonly #log: Logger;
  readonly #limit = pLimit(maxConcurrent);
  readonly #underWay = new Set<Promise<void>>();
  readonly ready: Promise<void>;
  #connection: NatsConnection | undefined;
  #subscriptions: Subscription[] = [];
  #isClosed = false;

  constructor(nats: NatsPubSub, identity: ServiceIdentity, endpoints: readonly Endpoint[], log: Logger) {
    this.#nats = nats;
    this.#log = log;
    const served = endpoints.map((endpoint) => ({ endpoint, stats: createStats(endpoint) }));
    const announce = createDiscovery(
      identity,
      served.map(({ stats }) => stats),
      nats.replies,
    );
    this.ready = new Promise((resolve) => {
      nats.onConnection((connection) => {
        if (this.#isClosed) return;
        this.#connection = connection;
        this.#subscriptions = served.map(({ endpoint, stats }) => this.#serve(connection, endpoint, stats));
        this.#subscriptions.push(...announce(connection));
        connection.flush().then(resolve, () => undefined);
      });
    });
  }

  get underWay(): number {
    return this.#underWay.size;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    let isDone = false;
    void this.#finish().finally(() => {
      isDone = true;
    });
    await drain(() => isDone, drainTimeoutMs);
  }

  async #finish(): Promise<void> {
    const isConnected = this.#nats.isConnected;
    if (isConnected) await Promise.all(this.#subscriptions.map((each) => each.drain().catch(() => undefined)));
    await Promise.all(this.#underWay);
    if (isConnected) await this.#connection?.flush().catch(() => undefined);
  }

  #serve(connection: NatsConnection, endpoint: Endpoint, stats: EndpointStats): Subscription {
    return connection.subscribe(endpoint.subject, {
      queue: queueGroup,
      callback: (error, message) => {
        if (error === null) this.#take(message, endpoint, stats);
        else this.#log.error({ err: error, subject: endpoint.subject }, 'A subscription for requests failed');
      },
    });
  }

  /** Never throws: an exception would end the NATS client's reader. */
  #take(message: Msg, endpoint: Endpoint, stats: EndpointStats): void {
    stats.requests += 1;
    if (this.#underWay.size >= maxUnderWay) {
      stats.errors += 1;
      this.#respond(message, refuse(new ChatError('UNAVAILABLE', 'Too many requests at once; try again')), null);
      return;
    }
    const answer = () => this.#answer(message, endpoint, stats);
    const work = (endpoint.isBatched === true ? answer() : this.#limit(answer))
      .catch((error: unknown) =>
        this.#log.error({ err: error, subject: endpoint.subject }, 'A request could not be answered'),
      )
      .finally(() => this.#underWay.delete(work));
    this.#underWay.add(work);
  }

  async #answer(message: Msg, endpoint: Endpoint, stats: EndpointStats): Promise<void> {
    const startedAt = performance.now();
    const request = decode(message.data);
    const answer = request instanceof ChatError ? refuse(request) : await endpoint.answer(request.payload);
    stats.processingMs += performance.now() - startedAt;
    if (!answer.success) {
      stats.errors += 1;
      stats.lastError = answer.error;
    }
    this.#respond(message, answer, request instanceof ChatError ? null : request.envelope);
  }

  /** Sends nothing if the request has no reply subject. */
  #respond(message: Msg, answer: Answer, envelope: Request['envelope']): void {
    const { replies } = this.#nats;
    if (!replies.isWanted(message)) return;
    const maxBytes = this.#connection?.info?.max_payload ?? Number.POSITIVE_INFINITY;
    const body = encodeAnswer(answer, envelope);
    const fits = body.length <= maxBytes;
    replies.send(message, fits ? body : encodeAnswer(refuse(tooLong(body.length, maxBytes)), envelope));
  }
}

function decode(body: Uint8Array): Request | ChatError {
  try {
    return decodeRequest(body);
  } catch (error) {
    if (error instanceof ChatError) return error;
    throw error;
  }
}

const refuse = ({ code, message }: ChatError): Answer => ({ success: false, error: message, code });

const tooLong = (bytes: number, maxBytes: number) =>
  new ChatError('BAD_USER_INPUT', `The answer would have ${bytes} bytes, but NATS allows ${maxBytes}: ask for less`);

const createStats = ({ subject }: Endpoint): EndpointStats => ({
  // An endpoint's name cannot have dots: rooms-get for chat.rooms.get.
  name: subject.split('.').slice(1).join('-'),
  subject,
  queueGroup,
  requests: 0,
  errors: 0,
  lastError: '',
  processingMs: 0,
});
