import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { Backend, type BackendAnswer } from '../support/backend.js';
import { ApiError, type TestClient, tokenFor } from '../support/client.js';
import { gatherAudience, type Listening } from '../support/expensive-audience.js';
import type { Instance } from '../support/instance.js';
import { metricsEnv, readMetrics } from '../support/metrics.js';
import {
  deleteMessage,
  editMessage,
  inboxBadges,
  inviteMembers,
  leaveRoom,
  markRead,
  removeMember,
  renameRoom,
  roomEvents,
  setAdmin,
  setTyping,
  typing,
} from '../support/operations.js';
import { range } from '../support/presence-watch.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { RawSocket } from '../support/wire.js';
import { useWorld } from '../support/world.js';

const [readerId, watcherId] = [4, 5];
const senderIds = range(1_000, 40);
const listenerIds = range(2_000, 100);
/** Each has one send on its way: only an instance that delivers more than 200 messages a second refuses none of them. */
const floodIds = range(3_000, 200);
const loadMs = 15_000;
/** The load is this many times what the instance delivers, on any machine. */
const overload = 5;
/** Without the gate, entries would be late by four fifths of the load's duration. */
const boundSeconds = 5;
/**
 * A send waits for a second at most, and then for its commit. If the disk holds up a commit for longer, all sends of that time
 * are accepted before anything is late, and the last of them is late by the time that it takes to deliver them.
 */
const usualMs = 2_000;
/** 12 KB; 2,000 of them exceed the operating system's buffers. */
const essay = '가'.repeat(4_000);

describeWithNats('an instance that is asked for more than it can deliver', () => {
  const world = useWorld({ instances: 1, env: { ...metricsEnv, MAX_ALIASES: '10000', MAX_TOKENS: '10000' } });
  let instance: Instance;
  let backend: Backend;
  let senders: TestClient[];

  beforeAll(async () => {
    [instance] = world.instances as [Instance];
    backend = await Backend.connect(world.nats);
    senders = await Promise.all(senderIds.map((userId) => world.client(userId)));
    for (const sender of senders) sender.isPatient = false;
  });
  afterAll(() => backend?.close());

  const read = async (name: string) => (await readMetrics(instance)).get(name) ?? Number.NaN;

  it('slows and refuses sends, delivers all that it accepted soon, and then the newest states', async () => {
    const reader = await world.client(readerId);
    const watcher = await world.client(watcherId);
    const roomId = await reader.group(watcherId, ...senderIds, ...listenerIds);
    const audience = await gatherAudience(instance, roomId, { userIds: listenerIds, documentsPerUser: 3 });
    onTestFinished(() => audience.close());
    const { listenings } = audience;
    const [inbox, marks, typists] = [
      watcher.subscribe(inboxBadges, {}),
      watcher.subscribe(roomEvents, { roomId }),
      watcher.subscribe(typing, { roomId }),
    ];
    await Promise.all([inbox.count(1), marks.count(1), typists.count(1)]);
    await waitFor(() => listenings.every(({ seqs }) => seqs.length === 1), { what: 'the audience', timeoutMs: 60_000 });
    const sendsPerSecond = overload * (await measureDeliveries(senders[0] as TestClient, roomId, listenings));
    await read('fairway_entries_late_seconds');

    const late: number[] = [];
    const accepted = new Map<string, number>();
    const refusals: unknown[] = [];
    const sends: Promise<unknown>[] = [];
    let slowestMs = 0;
    const startedAt = performance.now();
    const isOver = () => performance.now() > startedAt + loadMs;
    const measuring = (async () => {
      for (; !isOver(); await delay(500)) late.push(await read('fairway_entries_late_seconds'));
    })();
    for (let sent = 0; !isOver(); sent += 1) {
      const sender = senders[sent % senders.length] as TestClient;
      const sentAt = performance.now();
      sends.push(
        send(sender, roomId, sent).then(
          ({ id, seq }) => {
            accepted.set(id, seq);
            slowestMs = Math.max(slowestMs, performance.now() - sentAt);
          },
          (error) => refusals.push(error),
        ),
      );
      if (sent % 30 === 0) void reader.ws(setTyping, { input: { roomId, isTyping: true } }).catch(() => undefined);
      await delay(Math.max(0, startedAt + (sent * 1_000) / sendsPerSecond - performance.now()));
    }
    await Promise.all(sends);
    await measuring;
    const newest = Math.max(...accepted.values());
    const [newestId = ''] = [...accepted].find(([, seq]) => seq === newest) ?? [];
    await reader.http(markRead, { input: { roomId, messageId: newestId } });
    await reader.ws(setTyping, { input: { roomId, isTyping: true } });

    expect(refusals.length, 'refused sends').toBeGreaterThan(0);
    for (const refusal of refusals) {
      expect(refusal).toBeInstanceOf(ApiError);
      expect(refusal).toMatchObject({ code: 'RATE_LIMITED', extensions: { retryAfterMs: expect.any(Number) } });
    }
    expect(await read('fairway_sends_refused_total')).toBe(refusals.length);
    expect(accepted.size, 'accepted sends').toBeGreaterThan(10);

    await waitFor(() => listenings.every(({ seqs }) => seqs.at(-1) === newest), {
      what: 'the rest',
      timeoutMs: 30_000,
    });
    late.push(await read('fairway_entries_late_seconds'));
    const heldUpSeconds = Math.max(0, slowestMs - usualMs) / 1_000;
    const told = `at ${sendsPerSecond} a second, the slowest accepted after ${slowestMs} ms: ${late.join(', ')}`;
    expect(Math.max(...late), told).toBeLessThan(boundSeconds + overload * heldUpSeconds);
    const all = range(1, newest);
    const ids = [...accepted.keys()].sort((a, b) => (accepted.get(a) ?? 0) - (accepted.get(b) ?? 0));
    for (const { seqs, ids: got } of listenings) {
      expect(seqs).toEqual(all);
      expect(got.slice(-ids.length)).toEqual(ids);
    }

    await inbox.until(
      (events) => events.at(-1)?.inboxEvents.room?.lastMessage?.id === newestId,
      'the newest state of the room list',
    );
    await marks.until(
      (events) =>
        events.some(
          ({ roomEvents: event }) => event.__typename === 'MemberRead' && event.member.lastReadSeq === newest,
        ),
      'the newest mark',
    );
    await typists.until(
      (events) => events.at(-1)?.typing.users.some(({ id }) => id === String(readerId)) === true,
      'who types',
    );
    // A single entry for this audience takes longer than what counts as late.
    audience.close();
    await waitFor(
      async () => {
        const before = await read('fairway_sends_slowed_total');
        await send(senders[0] as TestClient, roomId, 0);
        return (await read('fairway_sends_slowed_total')) === before;
      },
      { what: 'a send that is not slowed', pollMs: 500 },
    );
  });

  it('refuses requests of backends with the time to wait, and answers those that send nothing meanwhile', async () => {
    const { roomId, answers, stop } = await flood();
    await waitFor(async () => (await backend.ask('chat.rooms.get', { roomId })).success, {
      what: 'the room',
      timeoutMs: 60_000,
    });
    await stop();

    const refusals = answers.filter(({ success }) => !success);
    for (const refusal of refusals) {
      expect(refusal).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
    }
  });

  it('slows edits and other new entries as well, but nothing that ends something', async () => {
    const reader = await world.client(readerId);
    const own = await reader.group(...senderIds);
    const { message } = await reader.send(own, 'a message');
    const { message: slip } = await reader.send(own, 'a slip');
    const { stop } = await flood();
    const changes = {
      edit: (number: number) => reader.http(editMessage, { input: { messageId: message.id, content: `${number}` } }),
      rename: (number: number) => reader.http(renameRoom, { input: { roomId: own, name: `${number}` } }),
      invite: () => reader.http(inviteMembers, { input: { roomId: own, userIds: [String(watcherId)] } }),
      appoint: (number: number) =>
        reader.ws(setAdmin, { input: { roomId: own, userId: String(senderIds[0]), isAdmin: number % 2 === 0 } }),
    };
    for (const [what, change] of Object.entries(changes)) {
      let number = 0;
      const refusal = await waitFor(
        () => {
          number += 1;
          return change(number).then(
            () => undefined,
            (error: ApiError) => (error.code === 'RATE_LIMITED' ? error : undefined),
          );
        },
        { what: `the refusal of an ${what}`, timeoutMs: 60_000 },
      );
      expect(refusal.extensions, what).toMatchObject({ retryAfterMs: expect.any(Number) });
    }
    const userId = String(senderIds[0]);
    const ends = [
      () => reader.http(deleteMessage, { input: { messageId: slip.id } }),
      () => reader.http(removeMember, { input: { roomId: own, userId } }),
      () => reader.http(leaveRoom, { input: { roomId: own } }),
    ];
    for (const end of ends) await end();
    await stop();
  });

  /** Backends send as fast as they can to a room with an expensive audience. Resolves once a send was refused. */
  async function flood() {
    const reader = await world.client(readerId);
    const roomId = await reader.group(...floodIds, ...listenerIds);
    const audience = await gatherAudience(instance, roomId, { userIds: listenerIds, documentsPerUser: 3 });
    onTestFinished(() => audience.close());
    await waitFor(() => audience.listenings.every(({ seqs }) => seqs.length === 1), {
      what: 'the audience',
      timeoutMs: 60_000,
    });
    const save = (senderId: number) =>
      backend.ask('chat.messages.save', { id: randomUUID(), roomId, senderId, content: '안녕하세요' });
    let isOver = false;
    onTestFinished(() => {
      isOver = true;
    });
    const answers: BackendAnswer[] = [];
    const saving = Promise.all(
      floodIds.map(async (senderId) => {
        while (!isOver) answers.push(await save(senderId));
      }),
    );
    // A test that has failed closes the connection: its own error is the one to tell.
    saving.catch(() => undefined);
    await waitFor(() => answers.some(({ success }) => !success), { what: 'a refusal', timeoutMs: 60_000 });
    const stop = async () => {
      isOver = true;
      await saving;
    };
    return { roomId, answers, stop };
  }
});

describeWithNats('clients that do not read', () => {
  const world = useWorld({ instances: 1, env: { ...metricsEnv, SEND_TIMEOUT_MS: '120000' } });

  it('slow down nobody', async () => {
    const [instance] = world.instances as [Instance];
    const sender = await world.client(readerId);
    const roomId = await sender.group(...listenerIds);
    const deaf = await Promise.all(
      listenerIds.slice(0, 5).map(async (userId) => RawSocket.connect(instance, await tokenFor(userId))),
    );
    onTestFinished(() => {
      for (const { ws } of deaf) ws.terminate();
    });
    for (const socket of deaf) {
      socket.subscribe('room', { query: roomEvents.toString(), variables: { roomId } });
      await socket.until(({ type }) => type === 'next', 'the subscription');
      socket.ws.pause();
    }
    for (let sent = 0; sent < 1_200; sent += 40) {
      await Promise.all(range(0, 40).map(() => sender.sendOverWs(roomId, essay)));
    }
    await readMetrics(instance);
    // They have waited for longer than what is measured below.
    await delay(2_000);
    await sender.send(roomId, essay);
    await delay(1_000);
    const metrics = await readMetrics(instance);
    expect(metrics.get('fairway_unread_bytes'), 'what they have not read is not an answer').toBe(0);
    expect(metrics.get('fairway_entries_late_seconds')).toBeLessThan(2.5);
    expect(metrics.get('fairway_sends_refused_total')).toBe(0);
    for (const { closed } of deaf) expect(closed).toBeUndefined();
  });
});

/** How many messages a second reach the whole audience if each is sent after the one before has arrived. */
async function measureDeliveries(
  sender: TestClient,
  roomId: string,
  listenings: readonly Listening[],
): Promise<number> {
  const tries = 5;
  const startedAt = performance.now();
  for (let number = 0; number < tries; number += 1) {
    const { seq } = await send(sender, roomId, number);
    await waitFor(() => listenings.every(({ seqs }) => seqs.at(-1) === seq), { what: 'a delivery', pollMs: 5 });
  }
  return (tries * 1_000) / (performance.now() - startedAt);
}

async function send(sender: TestClient, roomId: string, number: number): Promise<{ id: string; seq: number }> {
  const content = `${number} from ${sender.userId}`;
  const { message } = await (number % 2 === 0 ? sender.send(roomId, content) : sender.sendOverWs(roomId, content));
  return message;
}
