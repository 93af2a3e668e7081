import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { Backend } from './backend.js';
import type { TestNats } from './nats.js';
import { waitFor } from './wait-for.js';

export const bookingStream = 'BOOKING_EVENTS';

/** The booking system, which publishes its events in a stream. */
export class BookingSystem {
  readonly #jetstream: JetStreamClient;

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
    await this.#jetstream.publish(`booking.${bookingId}.${what}`, body);
  }
}
