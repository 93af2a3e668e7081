import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { type TestClient, tokenFor } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import { metricsEnv, readMetrics } from '../support/metrics.js';
import { editMessage, markRead, roomEvents } from '../support/operations.js';
import { range } from '../support/presence-watch.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { RawSocket } from '../support/wire.js';
import { useWorld } from '../support/world.js';

/** More than the one user who is left out in any case. */
const greedyIds = range(1_000, 3);
const [senderId, readerId] = [4, 5];
/** Their deliveries wait for longer. */
const observedMs = 6_000;
/** A busy machine is late as well, but not by that much. */
const maxLateSeconds = 2;
/** 12 KB. */
const essay = '가'.repeat(4_000);

describeWithNats('a few users whose deliveries take long by their own choice', () => {
  // Each of their events below takes several seconds of such an allowance, and each page of a replay.
  const limits = { COMPLEXITY_PER_MINUTE: '60000', REPLAYED_PER_MINUTE: '600' };
  const world = useWorld({ instances: 1, env: { ...metricsEnv, ...limits } });
  let instance: Instance;
  let sender: TestClient;

  beforeAll(async () => {
    [instance] = world.instances as [Instance];
    sender = await world.client(senderId);
  });

  /** Subscriptions of each user on a socket of their own. Resolves once they are live. */
  async function listen(roomId: string, queries: readonly string[]): Promise<RawSocket[]> {
    const sockets = await Promise.all(
      greedyIds.map(async (userId) => RawSocket.connect(instance, await tokenFor(userId))),
    );
    onTestFinished(() => {
      for (const { ws } of sockets) ws.terminate();
    });
    for (const socket of sockets) {
      for (const [index, query] of queries.entries()) {
        socket.subscribe(String(index), { query, variables: { roomId } });
      }
    }
    await waitFor(() => sockets.every((socket) => countOf(socket) === queries.length), { what: 'the subscriptions' });
    return sockets;
  }

  /** Others write to each other meanwhile. Resolves with the highest measure of how late entries are. */
  async function observe(): Promise<number> {
    const roomId = await sender.group(readerId);
    const reader = (await world.client(readerId)).roomEvents({ roomId });
    await reader.count(1);
    let lateSeconds = 0;
    const until = performance.now() + observedMs;
    for (let sent = 1; performance.now() < until; sent += 1) {
      await sender.send(roomId, `${sent}`);
      await reader.count(1 + sent);
      await delay(200);
      lateSeconds = Math.max(
        lateSeconds,
        (await readMetrics(instance)).get('fairway_entries_late_seconds') ?? Number.NaN,
      );
    }
    return lateSeconds;
  }

  it('slow down nobody by expensive selections', { timeout: 60_000 }, async () => {
    const roomId = await sender.group(...greedyIds);
    const queries = range(0, 8).map(
      (number) => `subscription ($roomId: ID!) {
        roomEvents(roomId: $roomId) { seq ... on MessageAdded { message { a${number}: id room {
          messages(last: 90) { edges { node { id seq type } } } } } } }
      }`,
    );
    const sockets = await listen(roomId, queries);
    const sent = 10;
    for (let number = 0; number < sent; number += 1) await sender.send(roomId, 'expensive');

    const lateSeconds = await observe();

    for (const socket of sockets) expect(countOf(socket), 'they still wait').toBeLessThan((1 + sent) * queries.length);
    expect(lateSeconds).toBeLessThan(maxLateSeconds);
  });

  it('slow down nobody by large selections that take long', { timeout: 60_000 }, async () => {
    const roomId = await sender.group(readerId, ...greedyIds);
    const { message } = await sender.send(roomId, 'read by one');
    await (await world.client(readerId)).http(markRead, { input: { roomId, messageId: message.id } });
    const sockets = await listen(roomId, [
      `subscription ($roomId: ID!) {
        roomEvents(roomId: $roomId) { seq ... on MessageUpdated { message { readBy { user { id } } } } }
      }`,
    ]);
    const lock = new pg.Client({ connectionString: world.database.url });
    await lock.connect();
    onTestFinished(() => lock.end());
    await lock.query('BEGIN; LOCK TABLE message_reads IN ACCESS EXCLUSIVE MODE');
    await sender.http(editMessage, { input: { messageId: message.id, content: 'edited' } });

    const lateSeconds = await observe();

    for (const socket of sockets) expect(countOf(socket), 'they still wait').toBe(1);
    expect(lateSeconds).toBeLessThan(maxLateSeconds);
  });

  it('slow down nobody by replays, when they read again after a pause', { timeout: 120_000 }, async () => {
    const roomId = await sender.group(...greedyIds);
    const queries = range(0, 10).map(() => roomEvents.toString());
    const sockets = await listen(roomId, queries);
    for (const { ws } of sockets) ws.pause();
    const sent = 400;
    for (let number = 0; number < sent; number += 20) {
      await Promise.all(range(0, 20).map(() => sender.sendOverWs(roomId, essay)));
    }
    for (const { ws } of sockets) ws.resume();
    await waitFor(() => sockets.every((socket) => countOf(socket) > 2 * queries.length), {
      what: 'what was on the way',
    });
    // Only rooms with new entries are looked at.
    await sender.send(roomId, 'news');

    const lateSeconds = await observe();

    for (const socket of sockets) expect(countOf(socket), 'they still wait').toBeLessThan((1 + sent) * queries.length);
    expect(lateSeconds).toBeLessThan(maxLateSeconds);
  });
});

const countOf = ({ messages }: RawSocket): number => messages.filter(({ type }) => type === 'next').length;
