import { setTimeout as delay } from 'node:timers/promises';
import {
  AckPolicy,
  type ConsumerMessages,
  DeliverPolicy,
  type JsMsg,
  jetstream,
  jetstreamManager,
} from '@nats-io/jetstream';
import { headers, InvalidArgumentError, type NatsConnection, nanos } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { drain } from '../../domain/drain.js';
import { ChatError } from '../../domain/errors.js';
import type { NatsPubSub } from './nats-pub-sub.js';
import { decodeRequest } from './request-encoding.js';

export interface ConsumerOptions {
  /** The stream of another system. If it is missing, the consumer waits for it and never creates it. */
  readonly stream: string;
  /** One subject, with wildcards: NATS servers before 2.10 cannot filter by more. */
  readonly subject: string;
  /** Receives events that failed five times, unchanged and with headers about the failure; without the body if too large. */
  readonly deadLetterSubject: string;
  /** How many events are handled at the same time. */
  readonly atOnce?: number;
  /** An event that is not settled by then goes to another instance as well. */
  readonly ackWaitMs?: number;
}

export interface Consumer {
  /** Takes no more events, and waits for those in progress, for 5 s at most. */
  close(): Promise<void>;
}

/** Resolves once the event's effect is committed. If it throws, the event is tried again. */
export type EventHandler = (event: { readonly subject: string; readonly payload: unknown }) => Promise<void>;

const maxTries = 5;
const firstRetryMs = 250;
const maxRetryMs = 30_000;
const usualAckWaitMs = 10_000;
const lookAgainMs = 2_000;
const pullExpiresMs = 10_000;
/** Two missing heartbeats mean that the server was restarted and has lost our pull request. */
const heartbeatMs = 1_000;
const usualAtOnce = 16;
const closeTimeoutMs = 5_000;
const publishTimeoutMs = 5_000;

/**
 * Delivers every message of a stream's subject to one instance, at least once and in no order, and acknowledges it when
 * `handle` has resolved. A message that fails five times goes to the dead-letter subject; the others do not wait for it.
 * If the database is unavailable, the message is tried until it is back.
 */
export function createConsumer(
  nats: NatsPubSub,
  options: ConsumerOptions,
  handle: EventHandler,
  log: Logger,
): Consumer {
  return new DurableConsumer(nats, options, handle, log);
}

class DurableConsumer implements Consumer {
  readonly #options: ConsumerOptions;
  readonly #durable: string;
  readonly #atOnce: number;
  readonly #handle: EventHandler;
  readonly #log: Logger;
  readonly #closing = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  #messages: ConsumerMessages | undefined;

  constructor(nats: NatsPubSub, options: ConsumerOptions, handle: EventHandler, log: Logger) {
    this.#options = options;
    this.#durable = durableName(options.subject);
    this.#atOnce = options.atOnce ?? usualAtOnce;
    this.#handle = handle;
    this.#log = log.child({ stream: options.stream, subject: options.subject });
    nats.onConnection((connection) => void this.#consume(connection));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#messages?.stop();
    await drain(() => this.#underWay.size === 0, closeTimeoutMs);
  }

  /** Runs until the connection is closed. The stream and the consumer may disappear and come back meanwhile. */
  async #consume(connection: NatsConnection): Promise<void> {
    let isLogged = false;
    while (!this.#closing.signal.aborted && !connection.isClosed()) {
      try {
        const messages = await this.#open(connection);
        this.#log.info('Consuming events');
        isLogged = false;
        for await (const message of messages) await this.#take(connection, message);
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        this.#log[isLogged ? 'debug' : 'warn']({ err: error }, 'Events cannot be consumed yet; retrying');
        isLogged = true;
      }
      await delay(lookAgainMs, undefined, { signal: this.#closing.signal }).catch(() => undefined);
    }
  }

  /** All instances share one consumer: the first one creates it. */
  async #open(connection: NatsConnection): Promise<ConsumerMessages> {
    const { stream, subject } = this.#options;
    const manager = await jetstreamManager(connection);
    await manager.consumers.add(stream, {
      durable_name: this.#durable,
      filter_subject: subject,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(this.#options.ackWaitMs ?? usualAckWaitMs),
      deliver_policy: DeliverPolicy.All,
      max_deliver: -1,
      // Messages that wait for a retry count, too. The limit is high so that bad messages do not block the others.
      max_ack_pending: 10_000,
    });
    const consumer = await jetstream(connection).consumers.get(stream, this.#durable);
    this.#messages = await consumer.consume({
      max_messages: 2 * this.#atOnce,
      expires: pullExpiresMs,
      idle_heartbeat: heartbeatMs,
      abort_on_missing_resource: true,
    });
    if (this.#closing.signal.aborted) this.#messages.stop();
    return this.#messages;
  }

  /** Resolves when another message may be taken. */
  async #take(connection: NatsConnection, message: JsMsg): Promise<void> {
    const work = this.#dealWith(connection, message)
      .catch((error: unknown) =>
        this.#log.warn({ err: error }, 'An event could not be settled; it will be delivered again'),
      )
      .finally(() => this.#underWay.delete(work));
    this.#underWay.add(work);
    if (this.#underWay.size >= this.#atOnce) await Promise.race(this.#underWay);
  }

  async #dealWith(connection: NatsConnection, message: JsMsg): Promise<void> {
    try {
      await this.#handle({ subject: message.subject, payload: decodeRequest(message.data).payload });
      message.ack();
    } catch (error) {
      const tries = message.info.deliveryCount;
      if (tries < maxTries || isOutage(error)) {
        this.#log.debug({ err: error, tries }, 'An event failed; it will be tried again');
        message.nak(Math.min(firstRetryMs * 2 ** (tries - 1), maxRetryMs));
      } else {
        await this.#setAside(connection, message, error);
      }
    }
  }

  /** Stores the dead letter before it ends the message. After a crash in between, the stream drops the copy by its id. */
  async #setAside(connection: NatsConnection, message: JsMsg, error: unknown): Promise<void> {
    const { deadLetterSubject } = this.#options;
    const { stream, streamSequence, deliveryCount } = message.info;
    const reasons = headers();
    reasons.set('Fairway-Stream', stream);
    reasons.set('Fairway-Stream-Sequence', String(streamSequence));
    reasons.set('Fairway-Subject', message.subject);
    reasons.set('Fairway-Tries', String(deliveryCount));
    reasons.set('Fairway-Error', reasonOf(error));
    const publish = (body: Uint8Array) =>
      jetstream(connection).publish(deadLetterSubject, body, {
        msgID: `${stream}:${streamSequence}`,
        headers: reasons,
        timeout: publishTimeoutMs,
      });
    await publish(message.data).catch((failure: unknown) => {
      // With the headers it exceeds max_payload. The headers name the stream and sequence of the original.
      if (!(failure instanceof InvalidArgumentError)) throw failure;
      reasons.set('Fairway-Omitted-Bytes', String(message.data.length));
      return publish(new Uint8Array());
    });
    message.term();
    this.#log.error(
      { err: error, streamSequence, deadLetterSubject },
      'An event failed five times and was moved to the dead-letter subject',
    );
  }
}

const isOutage = (error: unknown): boolean => error instanceof ChatError && error.code === 'UNAVAILABLE';

/** One line, as a header requires. The cause of an internal error is only in the log. */
const reasonOf = (error: unknown): string =>
  error instanceof ChatError ? `${error.code}: ${error.message}`.replace(/\s+/g, ' ').slice(0, 500) : 'INTERNAL';

/** A consumer's name cannot have dots or wildcards: `fairway-booking-any-created` for `booking.*.created`. */
const durableName = (subject: string): string =>
  `fairway-${subject.replaceAll('*', 'any').replaceAll('>', 'all').replaceAll('.', '-')}`;
