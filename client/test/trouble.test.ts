import { describe, expect, it, vi } from 'vitest';
import { ModelRefusal } from '../conformance/model-server.js';
import { createToken } from '../conformance/simulated-network.js';
import { createChatSocket } from '../src/chat-socket.js';
import { createEnvironment } from '../src/environment/browser.js';
import { createFairway } from '../src/fairway.js';
import { createMemoryStore } from '../src/storage/memory.js';
import { type Client, Simulation } from './simulation.js';

const hour = 3_600_000;

/** A room of users 4, 5 and 6, which is open and ready for user 4. */
async function openRoom(simulation = new Simulation(), client: Client = simulation.open()) {
  const { id: roomId } = simulation.server.createRoom(['4', '5', '6']);
  const room = client.fairway.room(roomId);
  room.subscribe(() => undefined);
  await simulation.clock.until(() => room.getSnapshot().status === 'ready', 10_000);
  const { clock, server, browser } = simulation;
  return { simulation, clock, server, browser, ...client, room, roomId };
}

it('has the marks of its members as they are', async () => {
  const { clock, server, room, roomId } = await openRoom();
  const message = server.send(roomId, '4', 'read me');
  await clock.advance(2_000);
  const markOf = (id: string) => room.getSnapshot().members.find(({ user }) => user.id === id)?.lastReadSeq;
  const before = markOf('5') ?? 0;
  server.markRead(roomId, '5', message.id);
  await clock.advance(2_000);
  expect(markOf('5')).toBeGreaterThan(before);
});

it('goes on showing a message that the server has confirmed while the room is still being loaded', async () => {
  const simulation = new Simulation();
  const { clock, server } = simulation;
  const { id: roomId } = server.createRoom(['4', '5']);
  const room = simulation.open().fairway.room(roomId);
  room.subscribe(() => undefined);
  server.refuse = (name) => (/^Room/.test(name) ? new ModelRefusal('UNAVAILABLE') : undefined);
  room.send('early');
  const shown = () => room.getSnapshot().messages.map(({ content, status }) => [content, status]);
  await clock.until(() => shown()[0]?.[1] === 'sent', 10_000);
  await clock.advance(3_000);
  expect(room.getSnapshot().status).toBe('loading');
  expect(shown()).toEqual([['early', 'sent']]);
  server.refuse = () => undefined;
  await clock.until(() => room.getSnapshot().status === 'ready', 10_000);
  expect(shown()).toEqual([['early', 'sent']]);
});

/** Who has sent what, as the server has it. */
const stored = (simulation: Simulation, roomId: string) =>
  simulation.server.rooms.get(roomId)?.messages.map(({ senderId, content }) => `${senderId}: ${content}`);

/** How often an operation is executed or subscribed to in a minute. */
async function countInMinute({ clock, server }: Simulation, name: string): Promise<number> {
  let count = 0;
  const { refuse } = server;
  server.refuse = (operation, variables) => {
    if (operation === name) count += 1;
    return refuse(operation, variables);
  };
  await clock.advance(60_000);
  return count;
}

describe('what one user has done is never done by another', () => {
  it('when the next user opens the app in the same browser', async () => {
    const { simulation, clock, room, roomId, tab } = await openRoom();
    tab.network.cut();
    room.send('of 4');
    await clock.advance(1_000);
    tab.kill();
    simulation.getToken = () =>
      new Promise((resolve) => clock.setTimer(() => resolve(createToken('6', clock.now, hour)), 50));
    const { fairway } = simulation.open('6');
    fairway.rooms.subscribe(() => undefined);
    await clock.advance(60_000);
    expect(stored(simulation, roomId)).toEqual([]);
    expect(fairway.outbox.getSnapshot()).toEqual([]);
  });

  it.each([
    ['over a socket', true],
    ['over HTTP', false],
  ])('when the token becomes another user’s, %s', async (_name, allowsUpgrades) => {
    const { simulation, clock, room, roomId, tab, fairway } = await openRoom();
    tab.network.allowsUpgrades = allowsUpgrades;
    tab.network.cut();
    room.send('of 4');
    await clock.advance(1_000);
    simulation.getToken = async () => createToken('6', clock.now, hour);
    tab.network.refusesTokensBefore = Math.floor(clock.now / 1_000) * 1_000;
    tab.network.restore();
    tab.tell('online');
    await clock.advance(60_000);
    expect(fairway.viewer.getSnapshot()?.id).toBe('6');
    expect(stored(simulation, roomId)).toEqual([]);
    room.send('of 6');
    await clock.advance(5_000);
    expect(stored(simulation, roomId)).toEqual(['6: of 6']);
    // And what user 4 has written waits for user 4.
    simulation.getToken = async () => createToken('4', clock.now, hour);
    await clock.advance(1_000);
    tab.network.refusesTokensBefore = Math.floor(clock.now / 1_000) * 1_000;
    tab.network.drop(4403);
    await clock.advance(60_000);
    expect(stored(simulation, roomId)).toEqual(['6: of 6', '4: of 4']);
  });

  it('when the token is replaced by another user’s while a socket serves', async () => {
    const simulation = new Simulation();
    simulation.getToken = async (userId) => createToken(userId, simulation.clock.now, 600_000);
    const { clock, room, roomId, tab, fairway } = await openRoom(simulation);
    simulation.getToken = async () => {
      tab.network.allowsUpgrades = false;
      return createToken('6', clock.now, hour);
    };
    await clock.advance(9 * 60_000 + 10_000);
    room.send('of 6');
    await clock.advance(30_000);
    expect(fairway.viewer.getSnapshot()?.id).toBe('6');
    expect(stored(simulation, roomId)).toEqual(['6: of 6']);
  });

  it('when somebody writes after signing out', async () => {
    const { simulation, clock, room, roomId, fairway } = await openRoom();
    await Promise.all([fairway.signOut(), clock.advance(6_000)]);
    expect(() => room.send('of nobody')).toThrow(expect.objectContaining({ code: 'SIGNED_OUT' }));
    simulation.getToken = async () => createToken('6', clock.now, hour);
    fairway.reconnectNow();
    await clock.advance(10_000);
    expect(fairway.viewer.getSnapshot()?.id).toBe('6');
    expect(room.getSnapshot().status).toBe('ready');
    expect(stored(simulation, roomId)).toEqual([]);
  });

  it('when the answer of getToken comes after signing out', async () => {
    const simulation = new Simulation();
    const { id: roomId } = simulation.server.createRoom(['4', '6']);
    const { clock } = simulation;
    simulation.getToken = () =>
      new Promise((resolve) => clock.setTimer(() => resolve(createToken('4', clock.now, hour)), 10_000));
    const { fairway } = simulation.open();
    fairway.room(roomId).subscribe(() => undefined);
    await clock.advance(1_000);
    await Promise.all([fairway.signOut(), clock.advance(6_000)]);
    simulation.getToken = async () => createToken('6', clock.now, hour);
    fairway.reconnectNow();
    fairway.room(roomId).send('of 6');
    await clock.advance(60_000);
    expect([fairway.viewer.getSnapshot()?.id, stored(simulation, roomId)]).toEqual(['6', ['6: of 6']]);
  });

  it('and each keeps their own draft', async () => {
    const { simulation, clock, room, tab, fairway } = await openRoom();
    const becomes = async (userId: string) => {
      simulation.getToken = async () => createToken(userId, clock.now, hour);
      tab.network.refusesTokensBefore = Math.floor(clock.now / 1_000) * 1_000;
      tab.network.drop(4403);
      await clock.advance(20_000);
      expect(fairway.viewer.getSnapshot()?.id).toBe(userId);
    };
    await becomes('6');
    room.setDraft('draft of 6');
    await clock.advance(5_000);
    await becomes('4');
    expect(room.getSnapshot().draft).toBe('');
    room.setDraft('draft of 4');
    await becomes('6');
    expect(room.getSnapshot().draft).toBe('draft of 6');
    await becomes('4');
    expect(room.getSnapshot().draft).toBe('draft of 4');
  });
});

describe('signing out', () => {
  it('erases what is stored before anything was opened', async () => {
    const { clock, server, roomId, tab, simulation, browser } = await openRoom();
    server.send(roomId, '5', 'secret');
    await clock.advance(5_000);
    tab.kill();
    const { fairway } = simulation.open();
    await Promise.all([fairway.signOut(), clock.advance(6_000)]);
    expect(await browser.readDisk()).not.toContain('secret');
  });

  it('shows nothing of the last user again, whatever is still being read', async () => {
    const { clock, server, roomId, tab, simulation } = await openRoom();
    server.send(roomId, '5', 'secret');
    await clock.advance(5_000);
    tab.kill();
    simulation.getToken = () => new Promise(() => undefined);
    const { fairway } = simulation.open();
    const room = fairway.room(roomId);
    room.subscribe(() => undefined);
    await Promise.all([fairway.signOut(), clock.advance(6_000)]);
    fairway.reconnectNow();
    await clock.advance(10_000);
    expect([fairway.viewer.getSnapshot(), room.getSnapshot().messages]).toEqual([null, []]);
  });

  it('ends at once for what is shown, also where the database cannot be deleted', async () => {
    const simulation = new Simulation();
    const { tab } = simulation.open();
    const store = { ...createMemoryStore(), erase: () => new Promise<never>(() => undefined) };
    const environment = { ...tab.environment, openStorage: async () => store };
    const fairway = createFairway({
      url: 'http://server/graphql',
      getToken: async () => createToken('4', simulation.clock.now, hour),
      environment,
    });
    const { room, clock } = await openRoom(simulation, { tab, fairway });
    room.send('text');
    await clock.advance(1_000);
    const done = vi.fn();
    fairway.signOut().then(done, done);
    await clock.advance(0);
    expect([fairway.viewer.getSnapshot(), room.getSnapshot().messages]).toEqual([null, []]);
    await clock.advance(6_000);
    expect(done).toHaveBeenCalled();
  });

  it('signs out the other tabs', async () => {
    const { clock, simulation, fairway } = await openRoom();
    const other = simulation.open();
    other.fairway.rooms.subscribe(() => undefined);
    await clock.advance(5_000);
    await Promise.all([fairway.signOut(), clock.advance(6_000)]);
    expect(other.fairway.connection.getSnapshot().status).toBe('signedOut');
    expect(other.fairway.viewer.getSnapshot()).toBeNull();
  });
});

describe('an app that throws', () => {
  it.each(['connection', 'rooms', 'outbox', 'viewer'] as const)('in a listener of %s stops nothing', async (name) => {
    const report = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const { clock, server, roomId, room, tab, fairway } = await openRoom();
    const heard = vi.fn();
    fairway[name].subscribe(() => {
      throw new Error('of the app');
    });
    fairway[name].subscribe(heard);
    room.subscribe(() => {
      throw new Error('of the app');
    });
    tab.network.drop();
    room.send('one');
    server.send(roomId, '5', 'two');
    await clock.advance(60_000);
    expect(fairway.connection.getSnapshot().status).toBe('connected');
    expect(
      room
        .getSnapshot()
        .messages.map(({ content, status }) => `${content} ${status}`)
        .sort(),
    ).toEqual(['one sent', 'two sent']);
    expect(report).toHaveBeenCalled();
    report.mockRestore();
  });
});

describe('storage', () => {
  it.each([
    ['a room of another version', 'logs', (id: string) => [id, { log: { messages: null }, room: {} }] as const],
    [
      'a damaged room',
      'logs',
      (id: string) => [id, { version: 1, log: { messages: [{ id: 'x' }] }, room: null }] as const,
    ],
    [
      'a damaged operation',
      'outbox',
      (id: string) => [1, { id: 'x', kind: 'send', roomId: id, content: 'x', createdAt: 'no' }] as const,
    ],
    ['nothing as an operation', 'outbox', () => [1, null] as const],
  ] as const)('with %s is read past', async (_name, part, entry) => {
    const simulation = new Simulation();
    const { tab } = simulation.open();
    const { id: roomId } = simulation.server.createRoom(['4', '5']);
    const store = createMemoryStore();
    const [key, value] = entry(roomId);
    await store.put(part, key, value);
    const fairway = createFairway({
      url: 'http://server/graphql',
      getToken: async () => createToken('4', simulation.clock.now, hour),
      environment: { ...tab.environment, openStorage: async () => store },
    });
    const room = fairway.room(roomId);
    room.subscribe(() => undefined);
    await simulation.clock.advance(5_000);
    expect(room.getSnapshot().status).toBe('ready');
    room.send('text');
    await simulation.clock.advance(5_000);
    expect(stored(simulation, roomId)).toEqual(['4: text']);
    expect(fairway.outbox.getSnapshot()).toEqual([]);
  });

  it.each(['get', 'entries', 'append', 'put', 'delete'] as const)('that hangs in %s is given up', async (method) => {
    const simulation = new Simulation();
    const { tab } = simulation.open();
    const store = createMemoryStore();
    const environment = {
      ...tab.environment,
      openStorage: async () => ({ ...store, [method]: () => new Promise<never>(() => undefined) }),
    };
    const fairway = createFairway({
      url: 'http://server/graphql',
      getToken: async () => createToken('4', simulation.clock.now, hour),
      environment,
    });
    const { room, roomId, clock } = await openRoom(simulation, { tab, fairway });
    room.send('one');
    room.send('two');
    await clock.advance(60_000);
    expect(stored(simulation, roomId)).toEqual(['4: one', '4: two']);
  });

  it('that comes back forgets what was done meanwhile', async () => {
    const simulation = new Simulation();
    const { tab } = simulation.open();
    const store = createMemoryStore();
    let isBroken = false;
    const guard = <Value>(run: () => Promise<Value>) => (isBroken ? Promise.reject(new Error('broken')) : run());
    const environment = {
      ...tab.environment,
      openStorage: async () => ({
        ...store,
        get: (...args: Parameters<typeof store.get>) => guard(() => store.get(...args)),
        put: (...args: Parameters<typeof store.put>) => guard(() => store.put(...args)),
        append: (value: unknown) => guard(() => store.append(value)),
        delete: (...args: Parameters<typeof store.delete>) => guard(() => store.delete(...args)),
      }),
    };
    const fairway = createFairway({
      url: 'http://server/graphql',
      getToken: async () => createToken('4', simulation.clock.now, hour),
      environment,
    });
    const { room, clock } = await openRoom(simulation, { tab, fairway });
    const id = room.send('v0');
    await clock.advance(2_000);
    tab.network.cut();
    room.edit(id, 'v1');
    await clock.advance(1_000);
    isBroken = true;
    tab.network.restore();
    tab.tell('online');
    await clock.advance(3_000);
    expect(fairway.connection.getSnapshot().isStorageDurable).toBe(false);
    room.edit(id, 'v2');
    await clock.advance(3_000);
    isBroken = false;
    await clock.advance(10_000);
    expect(fairway.connection.getSnapshot().isStorageDurable).toBe(true);
    // Nothing is left that a reload would do again.
    expect(await store.entries('outbox')).toEqual([]);
  });
});

describe('locks that the browser refuses', () => {
  it.each([
    ['at once', () => Promise.reject(new DOMException('refused', 'SecurityError'))],
    [
      'by throwing',
      () => {
        throw new DOMException('refused', 'SecurityError');
      },
    ],
  ])('%s are replaced by those of the page', async (_name, request) => {
    vi.stubGlobal('navigator', { locks: { request } });
    const { lock } = createEnvironment();
    const first = await lock('a', { stealAfterMs: 10_000 });
    expect(first?.isHeld()).toBe(true);
    expect(await lock('a', { ifAvailable: true })).toBeUndefined();
    first?.release();
    expect(await lock('a', { ifAvailable: true })).toBeDefined();
    vi.unstubAllGlobals();
  });
});

describe('a token', () => {
  it('that never comes is asked for again', async () => {
    const simulation = new Simulation();
    simulation.getToken = () => new Promise(() => undefined);
    const client = simulation.open();
    const { clock, room } = await openRoom(simulation, client);
    simulation.getToken = async (userId) => createToken(userId, clock.now, hour);
    await clock.advance(120_000);
    expect(room.getSnapshot().status).toBe('ready');
  });

  it('that expires, and a stale one after it, do not sign out', async () => {
    const { clock, simulation, tab, fairway } = await openRoom();
    await clock.advance(60_000);
    const stale = createToken('4', clock.now - hour, hour - 1_000);
    simulation.getToken = async () => {
      simulation.getToken = async (userId) => createToken(userId, clock.now, hour);
      return stale;
    };
    tab.network.refusesTokensBefore = Math.floor(clock.now / 1_000) * 1_000;
    tab.network.drop(4403);
    await clock.advance(60_000);
    expect(fairway.connection.getSnapshot().status).toBe('connected');
  });

  it('is not asked for all the time by a clock that is nearly its life ahead', async () => {
    const simulation = new Simulation();
    const client = simulation.open();
    client.tab.clockOffMs = hour - 1_000;
    const { clock } = await openRoom(simulation, client);
    await clock.advance(hour);
    expect(simulation.tokensAsked).toBeLessThanOrEqual(15);
  });

  it('that names no user is of the user that the server says', async () => {
    const { clock, simulation, room, roomId } = await openRoom();
    room.send('text');
    await clock.advance(5_000);
    expect(stored(simulation, roomId)).toEqual(['4: text']);
  });

  it('is sought while a message waits, although nothing is shown', async () => {
    const simulation = new Simulation();
    const { clock, server } = simulation;
    const { id: roomId } = server.createRoom(['4', '5']);
    const { getToken } = simulation;
    simulation.getToken = async () => {
      throw new Error('no network');
    };
    simulation.open().fairway.room(roomId).send('text');
    await clock.advance(60_000);
    simulation.getToken = getToken;
    await clock.advance(120_000);
    expect(stored(simulation, roomId)).toEqual(['4: text']);
  });
});

describe('a server in trouble is not asked all the time', () => {
  it.each([
    ['RoomList', new ModelRefusal('INTERNAL')],
    ['RoomList', new ModelRefusal('RATE_LIMITED', 10_000)],
    ['InboxEvents', new ModelRefusal('FORBIDDEN')],
    ['RoomEvents', new ModelRefusal('UNAVAILABLE', 0)],
    ['RoomEvents', new ModelRefusal('RATE_LIMITED', -5)],
    ['OpenRoom', new ModelRefusal('UNAVAILABLE')],
    ['SendMessage', new ModelRefusal('RATE_LIMITED', 0)],
    ['Viewer', new ModelRefusal('UNAVAILABLE')],
  ])('if it refuses %s with %o, and all is well afterwards', async (name, refusal) => {
    const simulation = new Simulation();
    simulation.server.refuseNext(name, refusal);
    const { fairway, room, clock, server, roomId } = await openRoom(simulation);
    fairway.rooms.subscribe(() => undefined);
    room.send('text');
    const count = await countInMinute(simulation, name);
    expect(count).toBeGreaterThan(1);
    expect(count).toBeLessThan(name === 'SendMessage' || name === 'RoomEvents' ? 620 : 80);
    server.refuse = () => undefined;
    await clock.advance(60_000);
    expect([room.getSnapshot().status, fairway.rooms.getSnapshot().status]).toEqual(['ready', 'ready']);
    expect(fairway.viewer.getSnapshot()?.id).toBe('4');
    expect(stored(simulation, roomId)).toEqual(['4: text']);
  });

  it('if each subscription begins with an event that it does not know', async () => {
    const { simulation, clock, server, roomId, room } = await openRoom();
    let isOn = true;
    const again = () => {
      if (!isOn) return;
      server.emitUnknown(roomId);
      clock.setTimer(again, 100);
    };
    again();
    server.send(roomId, '5', 'text');
    expect(await countInMinute(simulation, 'OpenRoom')).toBeLessThan(70);
    isOn = false;
    await clock.advance(5_000);
    expect(room.getSnapshot()).toMatchObject({ status: 'ready', messages: [{ content: 'text' }] });
  });

  it('if a proxy answers with its own pages, and gives nothing up', async () => {
    const { simulation, clock, room, roomId, tab } = await openRoom();
    const { fetch } = tab.network;
    tab.network.allowsUpgrades = false;
    tab.network.drop();
    tab.network.fetch = async () =>
      ({
        status: 502,
        headers: { get: () => 'text/html' },
        text: async () => '<h1>Bad gateway</h1>',
      }) as unknown as Response;
    for (let index = 0; index < 20; index += 1) room.send(`text ${index}`);
    await clock.advance(60_000);
    tab.network.fetch = fetch;
    tab.network.allowsUpgrades = true;
    await clock.advance(60_000);
    expect(stored(simulation, roomId)).toHaveLength(20);
  });
});

describe('a member who was removed and invited again', () => {
  it('sees the room again, while it is open', async () => {
    const { clock, server, room, roomId, fairway } = await openRoom();
    fairway.rooms.subscribe(() => undefined);
    await clock.advance(5_000);
    server.remove(roomId, '4');
    await clock.advance(5_000);
    expect(room.getSnapshot().status).toBe('gone');
    expect(() => room.send('text')).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
    const member = server.rooms.get(roomId)?.members.get('4');
    if (member !== undefined) member.hasLeft = false;
    server.send(roomId, '5', 'welcome');
    await clock.advance(5_000);
    expect(room.getSnapshot().status).toBe('ready');
  });
});

describe('an edit', () => {
  it('of a frozen tab does not overwrite a later one', async () => {
    const { simulation, clock, room, roomId, tab } = await openRoom();
    const id = room.send('v0');
    await clock.advance(5_000);
    const other = simulation.open();
    const second = other.fairway.room(roomId);
    second.subscribe(() => undefined);
    await clock.advance(5_000);
    tab.network.silence();
    room.edit(id, 'v1');
    await clock.advance(1_000);
    tab.freeze();
    second.edit(id, 'v2');
    await clock.advance(20_000);
    expect(stored(simulation, roomId)).toEqual(['4: v2']);
    // The first one's frame arrives only now.
    tab.network.restore();
    tab.thaw();
    await clock.advance(60_000);
    expect(stored(simulation, roomId)).toEqual(['4: v2']);
    for (const one of [room, second]) {
      expect(one.getSnapshot().messages.map(({ content, status }) => `${content} ${status}`)).toEqual(['v2 sent']);
    }
  });

  it('follows another one of the same message, each based on the one before', async () => {
    const { simulation, clock, room, roomId } = await openRoom();
    const id = room.send('v0');
    for (const text of ['v1', 'v2', 'v3']) room.edit(id, text);
    await clock.advance(10_000);
    expect(stored(simulation, roomId)).toEqual(['4: v3']);
  });
});

describe('seeing', () => {
  it('a message for a moment is not reading it', async () => {
    const { clock, server, room, roomId, tab } = await openRoom();
    const { id } = server.send(roomId, '5', 'text');
    await clock.advance(1_000);
    room.see(id);
    await clock.advance(100);
    tab.tell('hidden');
    await clock.advance(10_000);
    expect(room.getSnapshot().unreadCount).toBe(1);
    tab.tell('shown');
    await clock.advance(5_000);
    expect(room.getSnapshot().unreadCount).toBe(0);
  });
});

describe('chatSocket', () => {
  async function connect() {
    const simulation = new Simulation();
    const { clock, server } = simulation;
    const { id: roomId } = server.createRoom(['4', '5']);
    const tab = simulation.browser.openTab();
    const chatSocket = createChatSocket({ url: 'http://server/graphql', environment: tab.environment });
    const heard: (string | null)[] = [];
    chatSocket.onMessage(({ content }) => heard.push(content));
    chatSocket.connect(() => createToken('4', clock.now, hour));
    const joined = chatSocket.joinRoom(roomId);
    await clock.advance(5_000);
    expect(await joined).toBe(true);
    return { simulation, clock, server, roomId, tab, chatSocket, heard };
  }

  it('reports each message once and in order, also after a restored backup', async () => {
    const { clock, server, roomId, heard } = await connect();
    for (const text of ['a', 'b', 'c']) server.send(roomId, '5', text);
    await clock.advance(2_000);
    server.restore(roomId, 1);
    server.send(roomId, '5', 'd');
    await clock.advance(5_000);
    server.send(roomId, '5', 'e');
    await clock.advance(5_000);
    expect(heard).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('reports to each listener, whatever another one throws', async () => {
    const report = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const { clock, server, roomId, chatSocket, heard } = await connect();
    chatSocket.onMessage(() => {
      throw new Error('of the app');
    });
    const second: (string | null)[] = [];
    chatSocket.onMessage(({ content }) => second.push(content));
    for (const text of ['a', 'b', 'c']) server.send(roomId, '5', text);
    await clock.advance(2_000);
    expect([heard, second]).toEqual([
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ]);
    report.mockRestore();
  });

  it('settles what waits when it disconnects, and answers null for what it cannot send', async () => {
    const { clock, roomId, tab, chatSocket } = await connect();
    expect(await chatSocket.sendMessage(roomId, '')).toBeNull();
    tab.network.cut();
    const waiting = chatSocket.sendMessage(roomId, 'text');
    await clock.advance(1_000);
    chatSocket.disconnect();
    expect(await waiting).toBeNull();
  });

  it('is not blocked by a message that was refused', async () => {
    const { clock, server, roomId, chatSocket } = await connect();
    server.refuseNext('SendMessage', new ModelRefusal('FORBIDDEN'), 1);
    const [one, two] = [chatSocket.sendMessage(roomId, 'one'), chatSocket.sendMessage(roomId, 'two')];
    await clock.advance(5_000);
    expect([await one, (await two)?.content]).toEqual([null, 'two']);
  });
});
