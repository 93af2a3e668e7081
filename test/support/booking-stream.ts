import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { Backend } from './backend.js';
import type { TestNats } from './nats.js';
import { waitFor } from './wait-for.js';

export const bookingStream = 'BOOKING_EVENTS';

/** The booking system: it owns a stream and tells in it what happens. */
export class BookingSystem {
  readonly #jetstream: JetStreamClient;

  private constructor(
    readonly backend: Backend,
    readonly manager: JetStreamManager,
  ) {
    this.#jetstream = jetstream(backend.connection);
  }

  static async connect(nats: TestNats): Promise<BookingSystem> {
    const backend = await Backend.connect(nats, nats.logins.booking, { reconnectTimeWait: 20, reconnectJitter: 0 });
    return new BookingSystem(backend, await jetstreamManager(backend.connection));
  }

  /** Resolves once it is connected again: what is asked before is lost, and noticed late. */
  async isBack(): Promise<void> {
    await waitFor(() => this.backend.connection.rtt(), { what: 'the connection of the booking system' });
  }

  async createStream(): Promise<void> {
    await this.manager.streams.add({ name: bookingStream, subjects: ['booking.>'] });
  }

  async tell(what: string, bookingId: number, payload: unknown): Promise<void> {
    const body = typeof payload === 'string' ? payload : JSON.stringify(payload);
    await this.#jetstream.publish(`booking.${bookingId}.${what}`, body);
  }
}
