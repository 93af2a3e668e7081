import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { ensureStream, streams } from './streams.js';

const firstPauseMs = 1_000;
const maxPauseMs = 30_000;

/**
 * Sees to it that our streams are there and as they have to be, each by itself: with every connection, whenever a publish
 * found none, and where that failed, again and again with growing pauses. What fails is named once, until that changes.
 */
export class StreamKeeper {
  readonly #replicas: number;
  readonly #log: Logger;
  #connection: NatsConnection | undefined;
  /** Grows each time the server comes. */
  #uses = 0;
  #failing: readonly string[] = [];
  #isLooking = false;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #pauseMs = firstPauseMs;
  #timer: NodeJS.Timeout | undefined;

  constructor(replicas: number, log: Logger) {
    this.#replicas = replicas;
    this.#log = log;
  }

  /** The names of those that are missing, or not as they have to be, as of the last look. */
  get failing(): readonly string[] {
    return this.#failing;
  }

  /** The server is there, be it again: it may be another one. */
  use(connection: NatsConnection): void {
    this.#connection = connection;
    this.#uses += 1;
    this.#pauseMs = firstPauseMs;
    void this.#look();
  }

  /** The server is away: nothing is known of its streams, and nothing is looked at. */
  leave(): void {
    this.#connection = undefined;
    clearTimeout(this.#timer);
  }

  /** A publish was not taken. Where it is known already why, the next look is due anyway. */
  doubt(): void {
    if (this.#failing.length === 0 && performance.now() > this.#lookedAt + firstPauseMs) void this.#look();
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    clearTimeout(this.#timer);
    let uses: number;
    do {
      uses = this.#uses;
      const connection = this.#connection;
      const reasons = connection === undefined ? undefined : await this.#ensure(connection);
      // What the server says that has gone meanwhile tells nothing of the one that is there now.
      if (reasons !== undefined && uses === this.#uses && connection === this.#connection) this.#note(reasons);
    } while (uses !== this.#uses);
    this.#isLooking = false;
    this.#lookedAt = performance.now();
    if (this.#failing.length === 0 || this.#connection === undefined) return;
    this.#timer = setTimeout(() => void this.#look(), this.#pauseMs);
    this.#pauseMs = Math.min(2 * this.#pauseMs, maxPauseMs);
  }

  /** By name: why it could not be ensured. */
  async #ensure(connection: NatsConnection): Promise<Map<string, string>> {
    const reasons = new Map<string, string>();
    try {
      const manager = await jetstreamManager(connection, { checkAPI: false });
      const ensuring = streams.map((stream) =>
        ensureStream(manager, stream, this.#replicas).catch((error: unknown) =>
          reasons.set(stream.name, String(error)),
        ),
      );
      await Promise.all(ensuring);
    } catch (error) {
      for (const { name } of streams) reasons.set(name, String(error));
    }
    return reasons;
  }

  #note(reasons: ReadonlyMap<string, string>): void {
    const failing = streams.map(({ name }) => name).filter((name) => reasons.has(name));
    const isNews = failing.join() !== this.#failing.join();
    this.#failing = failing;
    if (!isNews) return;
    if (failing.length === 0) this.#log.info('All JetStream streams are there');
    else {
      this.#log.warn(
        { streams: Object.fromEntries(reasons) },
        'Some JetStream streams are missing or not as they have to be; it is tried again now and then',
      );
    }
  }
}
