import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { Backend } from './backend.js';
import type { TestNats } from './nats.js';
import { waitFor } from './wait-for.js';

export const bookingStream = 'BOOKING_EVENTS';

/** The booking system, which publishes its events in a stream. */
export class BookingSystem {
  readonly #jetstream: JetStreamClient;
  /** The position in the stream of the newest event of each kind. */
  readonly #newest = new Map<string, number>();

  readonly #nats: TestNats;

  private constructor(
    nats: TestNats,
    readonly backend: Backend,
    readonly manager: JetStreamManager,
  ) {
    this.#nats = nats;
    this.#jetstream = jetstream(backend.connection);
  }

  static async connect(nats: TestNats): Promise<BookingSystem> {
    const backend = await Backend.connect(nats, nats.logins.booking, { reconnectTimeWait: 20, reconnectJitter: 0 });
    return new BookingSystem(nats, backend, await jetstreamManager(backend.connection));
  }

  /** Resolves once it is connected again: earlier requests are lost, and fail only at their timeout. */
  async isBack(): Promise<void> {
    await waitFor(() => this.backend.connection.rtt(), { what: 'the connection of the booking system' });
  }

  /** Creates the stream as the operator: the booking system itself may only publish into it. */
  async createStream(): Promise<void> {
    const operator = await Backend.connect(this.#nats, this.#nats.logins.operator);
    const manager = await jetstreamManager(operator.connection);
    await manager.streams.add({ name: bookingStream, subjects: ['booking.*.*'] });
    await operator.close();
  }

  async tell(what: string, bookingId: number, payload: unknown): Promise<void> {
    const body = typeof payload === 'string' ? payload : JSON.stringify(payload);
    const { seq } = await this.#jetstream.publish(`booking.${bookingId}.${what}`, body);
    this.#newest.set(what, Math.max(seq, this.#newest.get(what) ?? 0));
  }

  /** Whether Fairway has been given all events of this kind and has acknowledged them. */
  async areAcknowledged(what: string): Promise<boolean> {
    const consumer = await this.manager.consumers.info(bookingStream, `fairway-booking-any-${what}`);
    const { delivered, num_pending, num_ack_pending } = consumer;
    // The server counts a new event as pending a moment after it has acknowledged its publication.
    const isDelivered = delivered.stream_seq >= (this.#newest.get(what) ?? 0);
    return isDelivered && num_pending + num_ack_pending === 0;
  }
}
