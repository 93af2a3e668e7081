import { jetstreamManager } from '@nats-io/jetstream';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ChatError } from '../../src/domain/errors.js';
import { type Consumer, createConsumer, type EventHandler } from '../../src/pubsub/nats/consumer.js';
import { createNatsPubSub, type NatsPubSub } from '../../src/pubsub/nats/nats-pub-sub.js';
import { BookingSystem, bookingStream } from '../support/booking-stream.js';
import { startNats, type TestNats } from '../support/nats.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';

describeWithNats("a consumer of another system's stream", () => {
  let nats: TestNats;
  let pubsub: NatsPubSub;
  let bookings: BookingSystem;
  const consumers: Consumer[] = [];
  const log = pino({ level: 'silent' });
  const consume = (handle: EventHandler) => {
    const options = {
      stream: bookingStream,
      subject: 'booking.*.created',
      deadLetterSubject: 'chat.dead-letter.booking',
    };
    consumers.push(createConsumer(pubsub, options, handle, log));
  };

  beforeEach(async () => {
    nats = await startNats();
    pubsub = createNatsPubSub({ ...nats, creds: undefined, replicas: 1, replyPrefixes: [] }, log);
    bookings = await BookingSystem.connect(nats);
    await bookings.createStream();
  });
  afterEach(async () => {
    await Promise.all(consumers.splice(0).map((consumer) => consumer.close()));
    await Promise.all([pubsub.close(), bookings.backend.close()]);
    await nats.stop();
  });

  it('sets failed events aside unchanged, but retries while the database is away', async () => {
    let tries = 0;
    let isDone = false;
    consume(async ({ payload }) => {
      if (payload !== 'good') throw new Error('a bug');
      tries += 1;
      if (tries <= 5) throw new ChatError('UNAVAILABLE', 'The database cannot be reached');
      isDone = true;
    });

    await bookings.tell('created', 1, '"good"');
    await bookings.tell('created', 1, { some: '이벤트' });

    await waitFor(() => isDone, { what: 'the sixth try' });
    const manager = await jetstreamManager(bookings.backend.connection);
    expect((await manager.streams.info('CHAT_DEAD_LETTERS')).state.messages).toBe(1);
    const letter = await manager.streams.getMessage('CHAT_DEAD_LETTERS', { seq: 1 });
    expect(letter?.json()).toEqual({ some: '이벤트' });
    expect(letter?.header.get('Fairway-Error')).toBe('INTERNAL');
  });

  it('sets aside only a reference to an event that is too large to be stored with its error', async () => {
    consume(async () => {
      throw new ChatError('BAD_USER_INPUT', 'bookingId must be a number');
    });
    const { connection } = bookings.backend;
    const body = JSON.stringify('x'.repeat((connection.info?.max_payload ?? 0) - 2));

    await bookings.tell('created', 1, body);

    const manager = await jetstreamManager(connection);
    const isSetAside = async () => (await manager.streams.info('CHAT_DEAD_LETTERS')).state.messages === 1;
    await waitFor(isSetAside, { what: 'the dead letter' });
    const isOver = async () =>
      (await manager.consumers.info(bookingStream, 'fairway-booking-any-created')).num_ack_pending === 0;
    await waitFor(isOver, { what: 'the end of the tries' });
    const letter = await manager.streams.getMessage('CHAT_DEAD_LETTERS', { seq: 1 });
    expect(letter?.data).toHaveLength(0);
    expect(letter?.header.get('Fairway-Omitted-Bytes')).toBe(String(body.length));
    expect(letter?.header.get('Fairway-Error')).toBe('BAD_USER_INPUT: bookingId must be a number');
    const [stream = '', seq] = ['Fairway-Stream', 'Fairway-Stream-Sequence'].map((name) => letter?.header.get(name));
    expect((await manager.streams.getMessage(stream, { seq: Number(seq) }))?.string()).toBe(body);
  });

  it('continues when NATS is back, even with a new stream', async () => {
    const heard: unknown[] = [];
    consume(async ({ payload }) => void heard.push(payload));
    await bookings.tell('created', 1, '"before"');
    await waitFor(() => heard.length === 1, { what: 'the first event' });

    await nats.restart({ wipe: false });
    await bookings.isBack();
    await bookings.tell('created', 1, '"between"');
    await waitFor(() => heard.length >= 2, { what: 'the event after the restart' });
    await nats.restart({ wipe: true });
    await bookings.isBack();
    await bookings.createStream();
    await bookings.tell('created', 1, '"after"');

    await waitFor(() => heard.includes('after'), { what: 'the event in the new stream' });
  });
});
