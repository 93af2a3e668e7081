import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Backend } from '../support/backend.js';
import { startDeployedNats } from '../support/nats.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const roomId = randomUUID();
const roomSubjects = [`chat.room.${roomId}.message`, 'chat.dm.4-5.message', `chat.room.${roomId}.read`];
const otherSubjects = [`chat.room.${roomId}.typing`, 'chat.user.4.presence', 'chat.outbox.acked'];
const closed = [...roomSubjects, ...otherSubjects, 'chat.dead-letter.booking', '$JS.API.STREAM.DELETE.CHAT_MESSAGES'];

describeWithNats('a server with the configuration in deploy/nats', () => {
  const world = useWorld({ instances: 2, nats: startDeployedNats });
  const clients: Backend[] = [];
  const refusals = new Map<Backend['connection'], string[]>();
  const as = async (login: 'backend' | 'booking') => clients[login === 'backend' ? 0 : 1] as Backend;
  beforeAll(async () => {
    for (const login of ['backend', 'booking'] as const) {
      const client = await Backend.connect(world.nats, world.nats.logins[login]);
      clients.push(client);
      void collectRefusals(client);
    }
  });
  afterAll(() => Promise.all(clients.map((client) => client.close())));

  async function collectRefusals({ connection }: Backend): Promise<void> {
    const messages: string[] = [];
    refusals.set(connection, messages);
    for await (const status of connection.status()) {
      if (status.type === 'error') messages.push(status.error.message);
    }
  }

  /** Whether the server refuses this to the client: it says so, and the connection goes on. */
  async function isRefused({ connection }: Backend, subject: string, how: 'publish' | 'subscribe'): Promise<boolean> {
    if (how === 'publish') connection.publish(subject, '{}');
    else connection.subscribe(subject, { callback: () => undefined });
    // The server answers in order: its refusal comes before this round trip ends, and is told in the same turn.
    await connection.flush();
    await nextTurn();
    return refusals.get(connection)?.some((message) => message.includes(`"${subject}"`)) === true;
  }

  it('lets the chat server do all that it needs', async () => {
    const [kim, lee] = [await world.client(4, 0), await world.client(5, 1)];
    const room = await kim.group(5);
    const feed = lee.roomEvents({ roomId: room });
    await feed.count(1);

    await kim.send(room, '안녕하세요');

    await feed.count(2);
    const isPublished = async () => {
      const [row] = await world.database.query('SELECT FROM chat_rooms WHERE id = $1 AND published_seq = seq', [room]);
      return row !== undefined;
    };
    await waitFor(isPublished, { what: 'the acknowledgement of the stream' });
    const output = world.instances.map((instance) => instance.output()).join('');
    expect(output).not.toMatch(/permission/i);
  });

  describe.each(['backend', 'booking'] as const)('keeps the user %s', (login) => {
    it.each(closed)('from speaking on %s', async (subject) => {
      expect(await isRefused(await as(login), subject, 'publish')).toBe(true);
    });

    it.each([...roomSubjects, ...otherSubjects, 'chat.>', '>', 'chat.rooms.get', '_INBOX_FAIRWAY.>', 'booking.>'])(
      'from listening on %s',
      async (subject) => {
        expect(await isRefused(await as(login), subject, 'subscribe')).toBe(true);
      },
    );
  });

  it('does not make a speaker of the chat server for who may not speak', async () => {
    const { user, password: pass } = world.nats;
    const insider = await Backend.connect(world.nats, { user, pass }, { inboxPrefix: '_INBOX_FAIRWAY' });
    const heard: string[] = [];
    insider.connection.subscribe('chat.user.4.*', { callback: (_error, { subject }) => void heard.push(subject) });
    await insider.connection.flush();
    const backend = await as('backend');

    for (const subject of ['chat.rooms.list', 'chat.messages.save', '$SRV.PING', '$SRV.STATS']) {
      backend.connection.publish(subject, '{"userId":4}', { reply: 'chat.user.4.presence' });
    }
    insider.connection.publish('chat.user.4.mark', '');
    await waitFor(() => heard.includes('chat.user.4.mark'), { what: 'the mark' });
    expect(await backend.ask('chat.rooms.list', { userId: 4 })).toMatchObject({ success: true });
    await Promise.all([backend.connection.flush(), insider.connection.flush()]);

    expect(heard).toEqual(['chat.user.4.mark']);
    await insider.close();
  });

  it('leaves BOOKING rooms to the booking system', async () => {
    for (const subject of ['chat.rooms.syncMembers', 'chat.rooms.cancel', 'booking.7.created']) {
      expect(await isRefused(await as('backend'), subject, 'publish')).toBe(true);
      expect(await isRefused(await as('booking'), subject, 'publish')).toBe(false);
    }
  });

  it('keeps the user backend from changing a BOOKING room by making it again', async () => {
    const [backend, booking] = [await as('backend'), await as('booking')];
    const input = { type: 'BOOKING', bookingId: 778 };
    const { data: made } = await booking.ask('chat.rooms.create', { ...input, memberIds: [101, 102], version: 1 });

    const { data: seen } = await backend.ask('chat.rooms.create', { ...input, memberIds: [666], version: 9e12 });

    expect(seen).toEqual({ ...made, created: false });
    const members = [{ userId: 101 }, { userId: 103 }];
    const synced = await booking.ask('chat.rooms.syncMembers', { bookingId: 778, members, version: 2 });
    expect(synced).toMatchObject({ success: true, data: { applied: true, members } });
  });

  it('lets both ask, and nobody without a password in', async () => {
    const input = { type: 'BOOKING', bookingId: 9, memberIds: [4] };
    expect(await (await as('booking')).ask('chat.rooms.create', input)).toMatchObject({ success: true });
    expect(await (await as('backend')).ask('chat.rooms.list', { userId: 4 })).toMatchObject({ success: true });

    const servers = world.nats.url;
    await expect(connect({ servers, reconnect: false })).rejects.toThrow(/authorization/i);
    await expect(connect({ servers, reconnect: false, user: 'backend', pass: 'x' })).rejects.toThrow(/authorization/i);
  });
});
