import { describe, expect, it } from 'vitest';
import { createToken } from '../conformance/simulated-network.js';
import { createChatSocket } from '../src/chat-socket.js';
import { createFairway, FairwayError } from '../src/fairway.js';
import { type Client, Simulation } from './simulation.js';

/** A client with one room, which is open and ready. */
async function openRoom(simulation = new Simulation(), client: Client = simulation.open()) {
  const { id } = simulation.server.createRoom(['4', '5']);
  const room = client.fairway.room(id);
  room.subscribe(() => undefined);
  await simulation.clock.until(() => room.getSnapshot().status === 'ready', 10_000);
  return { ...simulation, simulation, ...client, room, roomId: id };
}

describe('a store', () => {
  it('returns the same object until something changes', async () => {
    const { clock, room, server, roomId, fairway } = await openRoom();
    const before = room.getSnapshot();
    await clock.advance(60_000);
    expect(room.getSnapshot()).toBe(before);
    expect(fairway.room(roomId.toUpperCase())).toBe(room);
    server.send(roomId, '5', 'one');
    await clock.advance(1_000);
    const [first] = room.getSnapshot().messages;
    expect(room.getSnapshot()).not.toBe(before);
    server.send(roomId, '5', 'two');
    await clock.advance(1_000);
    // A message that has not changed is the same object, so that a list renders the new one only.
    expect(room.getSnapshot().messages[0]).toBe(first);
  });

  it('connects with its first subscriber, and rests when the last one has gone', async () => {
    const simulation = new Simulation();
    const { clock } = simulation;
    const { id } = simulation.server.createRoom(['4', '5']);
    const { tab, fairway } = simulation.open();
    const room = fairway.room(id);
    await clock.advance(60_000);
    expect([tab.network.opened, simulation.tokensAsked, clock.pending]).toEqual([0, 0, 0]);
    for (let time = 0; time < 100; time += 1) room.subscribe(() => undefined)();
    const stop = room.subscribe(() => undefined);
    await clock.until(() => room.getSnapshot().status === 'ready', 10_000);
    expect(tab.network.opened).toBe(1);
    stop();
    stop();
    await clock.advance(10_000);
    expect(fairway.connection.getSnapshot().status).toBe('disconnected');
    expect(tab.network.openConnections).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('leaves nothing running after close', async () => {
    const { clock, fairway, tab, room } = await openRoom();
    room.send('one');
    room.setTyping(true);
    room.setDraft('text');
    fairway.rooms.subscribe(() => undefined);
    fairway.presence(['5']).subscribe(() => undefined);
    fairway.close();
    await clock.advance(60_000);
    expect([clock.pending, tab.network.openConnections, tab.pageListeners]).toEqual([0, 0, 0]);
    await expect(fairway.createRoom({ type: 'GROUP', participantIds: [] })).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

describe('a room', () => {
  it('refuses a text that the server would refuse, and keeps nothing of it', async () => {
    const { room, fairway } = await openRoom();
    for (const text of ['', ' \n', 'x'.repeat(4_001)]) {
      expect(() => room.send(text)).toThrow(FairwayError);
      expect(() => room.edit('an id', text)).toThrow(FairwayError);
    }
    expect(fairway.outbox.getSnapshot()).toEqual([]);
    expect(() => room.send('👍'.repeat(4_000))).not.toThrow();
  });

  it('keeps at most 500 operations', async () => {
    const { room, tab, fairway } = await openRoom();
    tab.network.cut();
    for (let index = 0; index < 500; index += 1) room.send('text');
    expect(() => room.send('one more')).toThrow(expect.objectContaining({ code: 'OUTBOX_FULL' }));
    expect(fairway.outbox.getSnapshot()).toHaveLength(500);
  });

  it('keeps its draft over a reload, and ends it with the message', async () => {
    const { clock, room, roomId, tab, simulation } = await openRoom();
    room.setDraft('half a sent');
    await clock.advance(1_000);
    tab.kill();
    const { room: again } = await openRoom(simulation, simulation.open()).then(({ fairway }) => ({
      room: fairway.room(roomId),
    }));
    again.subscribe(() => undefined);
    await clock.until(() => again.getSnapshot().draft !== '', 10_000);
    expect(again.getSnapshot().draft).toBe('half a sent');
    again.send('half a sent');
    expect(again.getSnapshot().draft).toBe('');
  });

  it('says that the viewer types once in a while, and that they stopped', async () => {
    const { clock, room, server } = await openRoom();
    const signals = () =>
      server.executed
        .filter(({ name }) => name === 'SetTyping')
        .map(({ variables }) => (variables['input'] as { isTyping: boolean }).isTyping);
    for (let key = 0; key < 20; key += 1) {
      room.setTyping(true);
      await clock.advance(200);
    }
    expect(signals()).toEqual([true, true]);
    await clock.advance(10_000);
    expect(signals()).toEqual([true, true, false]);
  });

  it('is usable at once when 20,000 messages were missed', async () => {
    const { clock, room, server, roomId, tab } = await openRoom();
    tab.network.cut();
    server.fill(roomId, '5', 20_000);
    tab.network.restore();
    tab.tell('online');
    expect(await clock.until(() => room.getSnapshot().status === 'ready', 2_000)).toBe(true);
    expect(room.getSnapshot().messages.length).toBeLessThanOrEqual(50);
    expect(room.getSnapshot().hasOlder).toBe(true);
  });

  it('shows what is stored while there is no network', async () => {
    const { clock, server, roomId, tab, simulation } = await openRoom();
    server.send(roomId, '5', 'stored');
    await clock.advance(5_000);
    tab.kill();
    const client = simulation.open();
    client.tab.network.cut();
    simulation.getToken = async () => {
      throw new Error('no network');
    };
    const room = client.fairway.room(roomId);
    room.subscribe(() => undefined);
    await clock.advance(10_000);
    expect(room.getSnapshot().status).toBe('stale');
    expect(room.getSnapshot().messages.map(({ content }) => content)).toEqual(['stored']);
  });
});

describe('a token', () => {
  it.each([
    ['right', 0],
    ['a day ahead', 86_400_000],
    ['a day behind', -86_400_000],
  ])('is replaced before it expires, by one call, with a clock that is %s', async (_name, offMs) => {
    const simulation = new Simulation();
    const { clock } = simulation;
    simulation.getToken = async (userId) => createToken(userId, clock.now, 600_000);
    const client = simulation.open();
    client.tab.clockOffMs = offMs;
    const { fairway, room } = await openRoom(simulation, client);
    const states = new Set<string>();
    fairway.connection.subscribe(() => states.add(fairway.connection.getSnapshot().status));
    await clock.advance(3_600_000);
    expect([...states]).toEqual([]);
    expect(room.getSnapshot().status).toBe('ready');
    // Every nine minutes.
    expect(simulation.tokensAsked).toBeGreaterThanOrEqual(6);
    expect(simulation.tokensAsked).toBeLessThanOrEqual(8);
  });

  it('of another user shows nothing of the one before', async () => {
    const { clock, simulation, tab, room, roomId, fairway, server } = await openRoom();
    server.send(roomId, '5', 'for 4 only');
    room.send('of 4');
    await clock.advance(5_000);
    simulation.getToken = async () => createToken('6', clock.now, 3_600_000);
    tab.network.refusesTokensBefore = Math.floor(clock.now / 1_000) * 1_000;
    tab.network.drop(4403);
    await clock.advance(10_000);
    expect(fairway.viewer.getSnapshot()?.id).toBe('6');
    expect(room.getSnapshot()).toMatchObject({ status: 'gone', messages: [], room: null });
  });
});

describe('tabs', () => {
  it('let their sockets go five minutes after they were hidden, but one of them', async () => {
    const simulation = new Simulation();
    const { clock, server } = simulation;
    const { id } = server.createRoom(['4', '5']);
    const clients = Array.from({ length: 4 }, () => simulation.open());
    for (const { fairway } of clients) fairway.room(id).subscribe(() => undefined);
    const open = () => clients.filter(({ tab }) => tab.network.openConnections > 0).length;
    await clock.advance(5_000);
    expect(open()).toBe(4);
    for (const { tab } of clients) tab.tell('hidden');
    await clock.advance(4 * 60_000);
    expect(open()).toBe(4);
    await clock.advance(2 * 60_000);
    expect(open()).toBe(1);
    // Another one takes over when it ends.
    clients.find(({ tab }) => tab.network.openConnections > 0)?.tab.kill();
    await clock.advance(5_000);
    expect(open()).toBe(1);
    const shown = clients.find(({ tab }) => !tab.isDead && tab.network.openConnections === 0);
    server.send(id, '5', 'meanwhile');
    shown?.tab.tell('shown');
    await clock.advance(5_000);
    expect(
      shown?.fairway
        .room(id)
        .getSnapshot()
        .messages.map(({ content }) => content),
    ).toEqual(['meanwhile']);
  });

  it('deliver what a frozen one has begun, after ten seconds', async () => {
    const simulation = new Simulation();
    const { clock, server } = simulation;
    const { id } = server.createRoom(['4', '5']);
    const [frozen, other] = [simulation.open(), simulation.open()];
    for (const { fairway } of [frozen, other]) fairway.room(id).subscribe(() => undefined);
    await clock.advance(5_000);
    frozen.tab.network.silence();
    frozen.fairway.room(id).send('one');
    await clock.advance(1_000);
    frozen.tab.freeze();
    other.fairway.room(id).send('two');
    await clock.advance(5_000);
    expect(server.truth(id, '4').map(({ content }) => content)).toEqual([]);
    await clock.advance(10_000);
    expect(server.truth(id, '4').map(({ content }) => content)).toEqual(['one', 'two']);
    frozen.tab.network.restore();
    frozen.tab.thaw();
    await clock.advance(60_000);
    expect(server.truth(id, '4').map(({ content }) => content)).toEqual(['one', 'two']);
    const shown = frozen.fairway
      .room(id)
      .getSnapshot()
      .messages.map(({ content, status }) => `${content} ${status}`);
    expect(shown).toEqual(['one sent', 'two sent']);
  });
});

describe('an old client', () => {
  it('says that it is outdated when the server does not know its operation', async () => {
    const { clock, fairway, server, room } = await openRoom();
    // As a server refuses a document that does not fit its schema: without a path.
    server.refuse = (name) => {
      if (name !== 'SendMessage') return undefined;
      throw new TypeError('unreachable');
    };
    const { execute } = server;
    server.execute = (userId, name, variables) =>
      name === 'SendMessage'
        ? { errors: [{ message: 'Unknown argument "input"', extensions: { code: 'BAD_USER_INPUT' } }] }
        : execute.call(server, userId, name, variables);
    room.send('one');
    await clock.advance(5_000);
    expect(fairway.connection.getSnapshot().status).toBe('outdated');
    // What was not delivered waits for the new version.
    expect(room.getSnapshot().messages.map(({ content, status }) => `${content} ${status}`)).toEqual(['one pending']);
  });
});

describe('chatSocket', () => {
  it('has the methods of the client that it replaces', async () => {
    const simulation = new Simulation();
    const { clock, server } = simulation;
    const { id: roomId } = server.createRoom(['4', '5']);
    server.send(roomId, '5', 'before');
    const { environment } = simulation.browser.openTab();
    const chatSocket = createChatSocket({ url: 'http://server/graphql', environment });
    const heard: string[] = [];
    let connected = 0;
    chatSocket.onConnect(() => {
      connected += 1;
    });
    chatSocket.onMessage(({ senderName, content }) => heard.push(`${senderName}: ${content}`));
    chatSocket.connect(createToken('4', clock.now, 3_600_000));
    const joined = chatSocket.joinRoom(roomId);
    await clock.advance(5_000);
    expect([await joined, connected, chatSocket.isConnected()]).toEqual([true, 1, true]);
    server.send(roomId, '5', 'hello');
    const answer = chatSocket.sendMessage(roomId, 'hi', 'TEXT');
    await clock.advance(5_000);
    expect(await answer).toMatchObject({ roomId, senderId: 4, content: 'hi', messageType: 'TEXT' });
    expect(heard).toEqual(['user 5: hello', 'user 4: hi']);
    const elsewhere = chatSocket.joinRoom(server.newId());
    await clock.advance(5_000);
    expect(await elsewhere).toBe(false);
    chatSocket.leaveRoom(roomId);
    server.send(roomId, '5', 'unheard');
    await clock.advance(10_000);
    expect(heard).toHaveLength(2);
    chatSocket.disconnect();
    await clock.advance(10_000);
    expect([chatSocket.isConnected(), clock.pending]).toEqual([false, 0]);
  });
});

it('refuses a relative address outside a browser', () => {
  // A server that renders the app makes a client, and never uses it.
  const fairway = createFairway({ url: '/graphql', getToken: () => null });
  expect(() => fairway.connection.subscribe(() => undefined)).toThrow(/must be absolute/);
  fairway.close();
});
