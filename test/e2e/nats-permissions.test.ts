import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Backend } from '../support/backend.js';
import { BookingSystem, bookingStream } from '../support/booking-stream.js';
import { startDeployedNats } from '../support/nats.js';
import { setTyping, typingIn } from '../support/operations.js';
import { becomesReady } from '../support/readiness.js';
import { describeWithNats } from '../support/requirements.js';
import { readChatMessages } from '../support/stream.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const roomId = randomUUID();
const roomSubjects = [`chat.room.${roomId}.message`, 'chat.dm.4-5.message', `chat.room.${roomId}.read`];
const otherSubjects = [`chat.room.${roomId}.typing`, 'chat.user.4.presence', 'chat.outbox.acked'];
const deadLetters = 'chat.dead-letter.booking';

/** With sources, a mirror, republishing or a consumer, these JetStream requests could read and send everything. */
const forbiddenApi = [
  'STREAM.CREATE.SPY',
  `STREAM.CREATE.${bookingStream}`,
  `STREAM.UPDATE.${bookingStream}`,
  `STREAM.DELETE.${bookingStream}`,
  `STREAM.PURGE.${bookingStream}`,
  `STREAM.MSG.DELETE.${bookingStream}`,
  'STREAM.UPDATE.CHAT_MESSAGES',
  'STREAM.DELETE.CHAT_MESSAGES',
  'STREAM.PURGE.CHAT_MESSAGES',
  'STREAM.MSG.GET.CHAT_MESSAGES',
  'STREAM.MSG.DELETE.CHAT_MESSAGES',
  'STREAM.SNAPSHOT.CHAT_MESSAGES',
  'STREAM.RESTORE.SPY',
  'STREAM.LIST',
  'STREAM.NAMES',
  'DIRECT.GET.CHAT_MESSAGES',
  'DIRECT.GET.CHAT_TYPING.chat.room.any.typing',
  'CONSUMER.CREATE.CHAT_MESSAGES',
  'CONSUMER.CREATE.CHAT_MESSAGES.spy',
  'CONSUMER.DURABLE.CREATE.CHAT_MESSAGES.spy',
  'CONSUMER.MSG.NEXT.CHAT_MESSAGES.spy',
  'CONSUMER.LIST.CHAT_MESSAGES',
  `CONSUMER.DELETE.${bookingStream}.fairway-booking-any-created`,
  'META.LEADER.STEPDOWN',
  'SERVER.REMOVE',
  'ACCOUNT.PURGE.CHAT',
];
/** Fairway consumes booking events; other clients must not do that either. */
const consumerApi = [
  `CONSUMER.DURABLE.CREATE.${bookingStream}.spy`,
  `CONSUMER.MSG.NEXT.${bookingStream}.fairway-booking-any-created`,
];

describeWithNats('a server with the configuration in deploy/nats', () => {
  const world = useWorld({ instances: 2, nats: startDeployedNats, env: { BOOKING_EVENTS_STREAM: bookingStream } });
  const logins = ['fairway', 'operator', 'backend', 'booking', 'notifier'] as const;
  type Name = (typeof logins)[number];
  const clients = new Map<Name, Backend>();
  const refusals = new Map<Backend, string[]>();
  const heard: { subject: string; body: string }[] = [];
  const as = async (name: Name) => clients.get(name) as Backend;
  let bookings: BookingSystem;
  beforeAll(async () => {
    bookings = await BookingSystem.connect(world.nats);
    await bookings.createStream();
    for (const name of logins) {
      const { user, password: pass } = world.nats;
      const client = await (name === 'fairway'
        ? Backend.connect(world.nats, { user, pass }, { inboxPrefix: '_INBOX_FAIRWAY' })
        : Backend.connect(world.nats, world.nats.logins[name]));
      clients.set(name, client);
      void collectRefusals(client);
    }
    const insider = await as('fairway');
    insider.connection.subscribe('chat.>', {
      callback: (_error, message) => void heard.push({ subject: message.subject, body: message.string() }),
    });
    await insider.connection.flush();
  });
  afterAll(() => Promise.all([...clients.values(), bookings?.backend].map((client) => client?.close())));

  async function collectRefusals(client: Backend): Promise<void> {
    const messages: string[] = [];
    refusals.set(client, messages);
    for await (const status of client.connection.status()) {
      if (status.type === 'error') messages.push(status.error.message);
    }
  }

  /** Whether the server refuses this to the client. It reports an error then, and the connection stays open. */
  async function isRefused(client: Backend, subject: string, how: 'publish' | 'subscribe'): Promise<boolean> {
    const { connection } = client;
    if (how === 'publish') connection.publish(subject, '{}');
    else connection.subscribe(subject, { callback: () => undefined });
    // The server answers in order: its refusal arrives before this round trip ends, and is reported in the same turn.
    await connection.flush();
    await nextTurn();
    return refusals.get(client)?.some((message) => message.includes(`"${subject}"`)) === true;
  }

  /** Resolves once the insider has received everything that the clients have published. */
  async function settle(): Promise<void> {
    for (const name of ['backend', 'booking', 'notifier', 'fairway'] as const)
      await (await as(name)).connection.flush();
  }

  it('lets the chat server do all that it needs', async () => {
    const [kim, lee] = [await world.client(4, 0), await world.client(5, 1)];
    const room = await kim.group(5);
    const feed = lee.roomEvents({ roomId: room });
    await feed.count(1);

    await kim.send(room, '안녕하세요');
    await kim.http(setTyping, { input: { roomId: room, isTyping: true } });
    await waitFor(async () => (await lee.http(typingIn, { id: room })).room?.typing.length === 1, {
      what: 'the typist',
    });
    await bookings.tell('created', 4711, { bookingId: 4711, version: 1, members: [{ userId: 4 }] });

    await feed.count(2);
    const isPublished = async () => {
      const [row] = await world.database.query('SELECT FROM chat_rooms WHERE id = $1 AND published_seq = seq', [room]);
      return row !== undefined;
    };
    await waitFor(isPublished, { what: 'the acknowledgement of the stream' });
    const isSynced = async () =>
      (await world.database.query('SELECT FROM chat_rooms WHERE booking_id = 4711')).length === 1;
    await waitFor(isSynced, { what: 'the room of the booking' });
    // This instance finds entries in the stream when it starts.
    await world.start();
    for (const instance of world.instances) await becomesReady(instance, { status: 'ok' });
    const output = world.instances.map((instance) => instance.output()).join('');
    expect(output).not.toMatch(/permission/i);
  });

  describe.each(['backend', 'booking', 'notifier'] as const)('keeps the user %s', (login) => {
    it('from publishing on the subjects of the chat server', async () => {
      const { connection } = await as(login);
      const mark = randomUUID();

      for (const subject of [...roomSubjects, ...otherSubjects, deadLetters]) connection.publish(subject, mark);
      await settle();

      expect(heard.filter(({ body }) => body === mark)).toEqual([]);
    });

    const secrets = [
      ...roomSubjects,
      ...otherSubjects,
      deadLetters,
      'chat.>',
      '>',
      'chat.rooms.get',
      'booking.>',
      '$JS.>',
    ];
    it.each([...secrets, '_INBOX_FAIRWAY.>'])('from listening on %s', async (subject) => {
      expect(await isRefused(await as(login), subject, 'subscribe')).toBe(true);
    });

    it("from hearing each other's answers", async () => {
      const overheard: string[] = [];
      const { connection } = await as(login);
      const spy = connection.subscribe('_INBOX.>', {
        callback: (error, message) => void (error ?? overheard.push(message.subject)),
      });
      await connection.flush();

      await (await as(login === 'backend' ? 'booking' : 'backend')).ask('chat.rooms.get', { roomId });
      await settle();

      expect(overheard).toEqual([]);
      spy.unsubscribe();
    });

    it.each([...forbiddenApi, ...consumerApi])('from JetStream: %s', async (request) => {
      expect(await isRefused(await as(login), `$JS.API.${request}`, 'publish')).toBe(true);
    });

    it('from making the server publish for it through a reply subject', async () => {
      const client = await as(login);
      const kim = await world.client(4, 0);
      const { message } = await kim.send(await kim.group(5), 'kept');
      const isStored = async () => (await readChatMessages(world.nats)).some(({ body }) => body['id'] === message.id);
      await waitFor(isStored, { what: 'the message in the stream' });
      const before = heard.length;

      for (const reply of [...roomSubjects, '$JS.API.STREAM.PURGE.CHAT_MESSAGES', 'booking.999.created']) {
        for (const subject of ['booking.7.seen', `$JS.API.STREAM.INFO.${bookingStream}`, '$JS.API.INFO']) {
          client.connection.publish(subject, '', { reply });
        }
        for (const subject of ['chat.rooms.get', 'chat.messages.save', '$SRV.PING', '$SRV.STATS']) {
          client.connection.publish(subject, '{"userId":4}', { reply });
        }
      }
      await client.ask('chat.rooms.get', { roomId });
      await settle();

      expect(heard.slice(before).filter(({ subject }) => roomSubjects.includes(subject))).toEqual([]);
      expect(await isStored()).toBe(true);
      // The booking system may publish that itself.
      if (login === 'booking') return;
      const { connection } = await as('operator');
      const manager = await jetstreamManager(connection);
      expect(await manager.streams.getMessage(bookingStream, { last_by_subj: 'booking.999.created' })).toBeNull();
    });
  });

  it('lets a notifier read its consumer of all entries, acknowledge them, and load what it needs', async () => {
    const manager = await jetstreamManager((await as('operator')).connection);
    await manager.consumers.add('CHAT_MESSAGES', { durable_name: 'notifier', ack_policy: AckPolicy.Explicit });
    const kim = await world.client(4, 0);
    const room = await kim.group(5);
    const { message } = await kim.send(room, '알림');

    const notifier = await as('notifier');
    const consumer = await jetstream(notifier.connection).consumers.get('CHAT_MESSAGES', 'notifier');
    for await (const entry of await consumer.consume()) {
      entry.ack();
      if (entry.json<{ id: string }>().id === message.id) break;
    }

    const isDone = async () => (await manager.consumers.info('CHAT_MESSAGES', 'notifier')).num_ack_pending === 0;
    await waitFor(isDone, { what: 'the acknowledgements' });
    expect(await notifier.ask('chat.messages.list', { roomId: room, limit: 1 })).toMatchObject({
      data: { messages: [{ id: message.id }] },
    });
    expect(await notifier.ask('chat.rooms.members', { roomId: room })).toMatchObject({ data: { memberCount: 2 } });
    for (const subject of ['chat.messages.save', '$JS.ACK.BOOKING_EVENTS.x.1', '$JS.ACK.CHAT_MESSAGES.other.1']) {
      expect(await isRefused(notifier, subject, 'publish'), subject).toBe(true);
    }
  });

  it('keeps the chat server from what it does not need', async () => {
    const fairway = await as('fairway');
    const closed = ['booking.7.created', 'chat.rooms.get', 'chat.messages.save', '$SYS.REQ.ACCOUNT.PING'];
    for (const subject of closed) expect(await isRefused(fairway, subject, 'publish'), subject).toBe(true);
    // It may change and read its own streams.
    const own = ['STREAM.UPDATE.CHAT_MESSAGES', 'STREAM.MSG.GET.CHAT_MESSAGES'];
    for (const request of forbiddenApi.filter((name) => !own.includes(name))) {
      expect(await isRefused(fairway, `$JS.API.${request}`, 'publish'), request).toBe(true);
    }
    for (const subject of ['>', '_INBOX.>', 'booking.>', '$SYS.>', '$JS.>']) {
      expect(await isRefused(fairway, subject, 'subscribe'), subject).toBe(true);
    }
  });

  it('keeps the operator of JetStream from subscribing and publishing', async () => {
    const operator = await as('operator');
    for (const subject of ['chat.>', '>', '_INBOX_FAIRWAY.>', 'booking.>']) {
      expect(await isRefused(operator, subject, 'subscribe'), subject).toBe(true);
    }
    for (const subject of [...roomSubjects, ...otherSubjects, 'chat.rooms.get', 'booking.7.created']) {
      expect(await isRefused(operator, subject, 'publish'), subject).toBe(true);
    }
  });

  it('leaves BOOKING rooms to the booking system', async () => {
    const input = { bookingId: 777, members: [{ userId: 4 }], version: 1 };
    const { connection } = await as('backend');
    for (const subject of ['chat.rooms.syncMembers', 'chat.rooms.cancel', 'booking.777.created']) {
      const asked = connection.request(subject, JSON.stringify(input), { timeout: 2_000 });
      await expect(asked, subject).rejects.toThrow(/no responders|permissions/i);
    }
    expect(await (await as('booking')).ask('chat.rooms.syncMembers', input)).toMatchObject({ success: true });
  });

  it('keeps the user backend from changing a BOOKING room by creating it again', async () => {
    const [backend, booking] = [await as('backend'), await as('booking')];
    const input = { type: 'BOOKING', bookingId: 778 };
    const { data: made } = await booking.ask('chat.rooms.create', { ...input, memberIds: [101, 102], version: 1 });

    const { data: seen } = await backend.ask('chat.rooms.create', { ...input, memberIds: [666], version: 9e12 });

    expect(seen).toEqual({ ...made, created: false });
    const members = [{ userId: 101 }, { userId: 103 }];
    const synced = await booking.ask('chat.rooms.syncMembers', { bookingId: 778, members, version: 2 });
    expect(synced).toMatchObject({ success: true, data: { applied: true, members } });
  });

  it('accepts requests of both, and refuses logins without a password', async () => {
    const input = { type: 'BOOKING', bookingId: 9, memberIds: [4] };
    expect(await (await as('booking')).ask('chat.rooms.create', input)).toMatchObject({ success: true });
    expect(await (await as('backend')).ask('chat.rooms.list', { userId: 4 })).toMatchObject({ success: true });

    const servers = world.nats.url;
    await expect(connect({ servers, reconnect: false })).rejects.toThrow(/authorization/i);
    await expect(connect({ servers, reconnect: false, user: 'backend', pass: 'x' })).rejects.toThrow(/authorization/i);
  });
});
