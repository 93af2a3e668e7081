import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { ensureStream, streams } from './streams.js';

const firstPauseMs = 1_000;
const maxPauseMs = 30_000;

/**
 * Ensures that each of our streams exists with its configuration: after every connect, after a failed publish, and with
 * growing pauses while it fails. Logs failing streams once, and again when they change.
 */
export class StreamKeeper {
  readonly #replicas: number;
  readonly #log: Logger;
  #connection: NatsConnection | undefined;
  /** Counts connects. */
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

  /** The names of the streams that were missing or wrongly configured at the last check. */
  get failing(): readonly string[] {
    return this.#failing;
  }

  /** Call it after every connect and reconnect: it may be another server. */
  use(connection: NatsConnection): void {
    this.#connection = connection;
    this.#uses += 1;
    this.#pauseMs = firstPauseMs;
    void this.#look();
  }

  /** Call it after a disconnect: stops checking. */
  leave(): void {
    this.#connection = undefined;
    clearTimeout(this.#timer);
  }

  /** Call it after a failed publish. Does nothing if a stream is known to fail: then the next check is scheduled already. */
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
      // Ignore the answer of a server that has been replaced meanwhile.
      if (reasons !== undefined && uses === this.#uses && connection === this.#connection) this.#note(reasons);
    } while (uses !== this.#uses);
    this.#isLooking = false;
    this.#lookedAt = performance.now();
    if (this.#failing.length === 0 || this.#connection === undefined) return;
    this.#timer = setTimeout(() => void this.#look(), this.#pauseMs);
    this.#pauseMs = Math.min(2 * this.#pauseMs, maxPauseMs);
  }

  /** The reason of the failure by stream name. */
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
    if (failing.length === 0) this.#log.info('All JetStream streams are ready');
    else {
      this.#log.warn(
        { streams: Object.fromEntries(reasons) },
        'Some JetStream streams are missing or wrongly configured; retrying',
      );
    }
  }
}
