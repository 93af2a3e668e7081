import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { type ApiError, Feed, type TestClient } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import { metricsEnv, readMetrics } from '../support/metrics.js';
import { inviteMembers, leaveRoom, removeMember, typing, typingIn, typingWithRoom } from '../support/operations.js';
import { Random, useRandom } from '../support/random.js';
import { describeWithNats } from '../support/requirements.js';
import { countTo } from '../support/room-log.js';
import {
  isSame,
  listsOf,
  signal,
  signalOverWs,
  stop,
  type TypingFeed,
  type,
  typingNow,
  untilListed,
  watch,
} from '../support/typing.js';
import { waitFor } from '../support/wait-for.js';
import { RawSocket } from '../support/wire.js';
import { useWorld, type World } from '../support/world.js';

const lapseMs = 6_000;
/** The limit for "at once", before the signal would lapse. */
const atOnceMs = 5_000;
/** Longer than a signal over NATS and one gap between two lists. */
const settleMs = 1_000;

describeWithNats('typing in a room', () => {
  const world = useWorld();

  let nats: NatsConnection;

  beforeAll(async () => {
    nats = await connectTo(world);
  });
  afterAll(() => nats?.close());

  describeLists();
  describeWaits();
  describeEnds();
  describeLateness();
  describeAccess();
  describeFloods();
  describeLosses();

  function describeLists(): void {
    it('comes with the room, as the viewer sees it', async () => {
      const [kim, lee] = await users(world, 0, 1);
      const roomId = await kim.group(lee.userId);
      await lee.send(roomId, '하나');
      const feed = kim.subscribe(typingWithRoom, { roomId });
      await feed.count(1);
      expect(feed.events[0]).toEqual({
        typing: { room: { id: roomId, title: `user ${lee.userId}`, unreadCount: 1 }, users: [] },
      });
      feed.stop();
    });

    it('arrives as the present list first, then the whole list at each change, without the viewer', async () => {
      const [kim, lee, park] = await users(world, 0, 1, 0);
      const roomId = await kim.group(lee.userId, park.userId);
      const feeds = { kim: watch(kim, roomId), lee: watch(lee, roomId), park: watch(park, roomId) };
      await Promise.all(Object.values(feeds).map((feed) => feed.count(1)));

      await type(lee, roomId);
      await Promise.all([untilListed(feeds.kim, lee), untilListed(feeds.park, lee)]);
      await type(park, roomId);
      await Promise.all([untilListed(feeds.kim, lee, park), untilListed(feeds.lee, park)]);
      await stop(lee, roomId);
      await Promise.all([untilListed(feeds.kim, park), untilListed(feeds.park)]);
      await stop(park, roomId);
      await Promise.all([untilListed(feeds.kim), untilListed(feeds.lee)]);

      expect(listsOf(feeds.kim)).toEqual([[], [lee.userId], [lee.userId, park.userId], [park.userId], []]);
      expect(listsOf(feeds.lee)).toEqual([[], [park.userId], []]);
      expect(listsOf(feeds.park)).toEqual([[], [lee.userId], []]);
      expect(feeds.kim.events[1]?.typing).toEqual({
        roomId,
        users: [{ id: String(lee.userId), name: `user ${lee.userId}` }],
      });
    });

    it('arrives in a DIRECT room as well, in both directions', async () => {
      const [kim, lee] = await users(world, 0, 1);
      const roomId = await kim.direct(lee.userId);
      const [kims, lees] = [watch(kim, roomId), watch(lee, roomId.toUpperCase())];
      await Promise.all([kims.count(1), lees.count(1)]);

      await type(kim, roomId);
      await untilListed(lees, kim);
      await type(lee, roomId.toUpperCase());
      await untilListed(kims, lee);
      await kim.send(roomId, '안녕');
      await untilListed(lees);

      expect(listsOf(kims)).toEqual([[], [lee.userId]]);
      expect(listsOf(lees)).toEqual([[], [kim.userId], []]);
    });

    it('arrives over SSE, and the end of such a stream ends the typing of its own user', async () => {
      const [kim, lee] = await users(world, 0, 1);
      const roomId = await kim.group(lee.userId);
      const [kims, lees] = [await watchOverSse(world, 0, kim, roomId), await watchOverSse(world, 1, lee, roomId)];
      await Promise.all([kims.count(1), lees.count(1)]);

      await type(lee, roomId);
      await untilListed(kims, lee);
      const leftAt = performance.now();
      lees.stop();

      expect((await untilListed(kims)) - leftAt).toBeLessThan(atOnceMs);
      expect(listsOf(kims)).toEqual([[], [lee.userId], []]);
      kims.stop();
    });
  }

  function describeEnds(): void {
    it.each<[string, (lee: Everywhere, roomId: string) => Promise<unknown>]>([
      ['an explicit stop', ([here], roomId) => stop(here, roomId)],
      ['an explicit stop over WebSocket', ([here], roomId) => signalOverWs(here, roomId, false)],
      ['an explicit stop on another instance', ([, there], roomId) => stop(there, roomId)],
      ['a message over HTTP', ([here], roomId) => here.send(roomId, 'done')],
      ['a message over WebSocket', ([here], roomId) => here.sendOverWs(roomId, 'done')],
      ['a message over HTTP on another instance', ([, there], roomId) => there.send(roomId, 'done')],
      ['a message over WebSocket on another instance', ([, there], roomId) => there.sendOverWs(roomId, 'done')],
      ['leaving the room', ([here], roomId) => here.http(leaveRoom, { input: { roomId } })],
    ])('ends at once, on every instance, with %s', async (_what, end) => {
      const { kim, lee, roomId, feeds } = await meet(world);
      const there = await world.client(lee.userId, 0);
      await type(lee, roomId);
      await Promise.all(feeds.map((feed) => untilListed(feed, lee)));
      const typedAt = performance.now();

      await end([lee, there], roomId);

      const endedAt = await Promise.all(feeds.map((feed) => untilListed(feed)));
      expect(Math.max(...endedAt) - typedAt).toBeLessThan(atOnceMs);
      for (const feed of feeds) expect(listsOf(feed)).toEqual([[], [lee.userId], []]);
      expect(await typingNow(kim, roomId)).toEqual([]);
    });

    it('ends in every room with the last connection of the user', async () => {
      const [kim, lee] = await users(world, 0, 1);
      const roomIds = await Promise.all(countTo(5).map(() => kim.group(lee.userId)));
      const feeds = roomIds.map((roomId) => watch(kim, roomId));
      await Promise.all(feeds.map((feed) => feed.count(1)));
      await Promise.all(roomIds.map((roomId) => signalOverWs(lee, roomId, true)));
      await Promise.all(feeds.map((feed) => untilListed(feed, lee)));

      const cutAt = performance.now();
      await lee.cutOff();

      const endedAt = await Promise.all(feeds.map((feed) => untilListed(feed)));
      expect(Math.max(...endedAt) - cutAt).toBeLessThan(atOnceMs);
    });
  }

  /** These tests mostly wait, so they run at the same time. */
  function describeWaits(): void {
    it.concurrent.each([
      ['one signal', [0]],
      ['repeated signals', [0, 3_000]],
      ['a signal that was merged with the one before', [0, 900]],
    ])('lapses 6 s after the last of %s, on every instance', async (_what, times) => {
      const { lee, roomId, feeds } = await meet(world);
      const startedAt = performance.now();
      let [lastAt, answeredAt] = [0, 0];
      for (const atMs of times) {
        await delay(startedAt + atMs - performance.now());
        lastAt = performance.now();
        await type(lee, roomId);
        answeredAt = performance.now();
      }
      await Promise.all(feeds.map((feed) => untilListed(feed, lee)));

      const endedAt = await Promise.all(feeds.map((feed) => untilListed(feed)));
      for (const at of endedAt) {
        expect(at - lastAt).toBeGreaterThan(lapseMs - 50);
        expect(at - answeredAt).toBeLessThan(2 * lapseMs);
      }
      for (const feed of feeds) expect(listsOf(feed)).toEqual([[], [lee.userId], []]);
    });

    it.concurrent('lapses for a late subscriber when it does for all others', async () => {
      const [kim, lee] = await users(world, 0, 1);
      const roomId = await kim.group(lee.userId);
      const typedAt = performance.now();
      await type(lee, roomId);
      const answeredAt = performance.now();
      // The signal is old by the time of the subscription.
      await delay(2_000);
      const feed = watch(kim, roomId);
      await feed.count(1);
      expect(listsOf(feed)).toEqual([[lee.userId]]);

      const endedAt = await untilListed(feed);
      expect(endedAt - typedAt).toBeGreaterThan(lapseMs - 100);
      expect(endedAt - answeredAt).toBeLessThan(2 * lapseMs);
    });

    it.concurrent('is empty for a query on an instance without subscribers, 6 s later', async () => {
      const [kim, lee] = await users(world, 0, 1);
      const roomId = await kim.group(lee.userId);
      const typedAt = performance.now();
      await type(lee, roomId);
      const answeredAt = performance.now();
      await waitFor(async () => isSame(await typingNow(kim, roomId), [lee]), { what: 'the user in the query' });

      await waitFor(async () => isSame(await typingNow(kim, roomId), []), { what: 'nobody in the query' });
      expect(performance.now() - typedAt).toBeGreaterThan(lapseMs - 100);
      expect(performance.now() - answeredAt).toBeLessThan(2 * lapseMs);
    });

    it.concurrent('is known to a late subscriber though the stream still has thousands of signals that have lapsed', async () => {
      const [kim, lee] = await users(world, 0, 1);
      const roomId = await kim.group(lee.userId);
      for (const index of countTo(3_000)) {
        nats.publish(`chat.room.${roomId}.typing`, JSON.stringify({ userId: lee.userId, isTyping: index % 2 === 1 }));
      }
      await nats.flush();
      // Longer than the lapse, shorter than the stream keeps them.
      await delay(7_000);
      await type(lee, roomId);

      await waitFor(async () => isSame(await typingNow(kim, roomId), [lee]), { what: 'the user' });
      const feed = watch(kim, roomId);
      await feed.count(1);
      expect(listsOf(feed)).toEqual([[lee.userId]]);
    });

    it.concurrent('continues after a message from somebody else, and after a message and a stop in another room', async () => {
      const { kim, lee, roomId, feeds } = await meet(world);
      const other = await kim.group(lee.userId);
      await lee.send(roomId, 'earlier');
      const typedAt = performance.now();
      await type(lee, roomId);
      await Promise.all(feeds.map((feed) => untilListed(feed, lee)));

      await kim.send(roomId, 'meanwhile');
      await lee.send(other, 'elsewhere');
      await stop(lee, other);

      // No event shows that nothing ended, so wait as long as an end would take.
      await delay(settleMs);
      for (const feed of feeds) expectListed(feed, lee, typedAt);
    });

    it.concurrent('ends at once with the last connection of the user, though it is cut off, and not with the one before', async () => {
      const { lee, roomId, feeds } = await meet(world);
      const [phone, browser] = [await world.client(lee.userId, 1), await world.client(lee.userId, 1)];
      await Promise.all([watch(phone, roomId).count(1), watch(browser, roomId).count(1)]);
      const typedAt = performance.now();
      await signalOverWs(phone, roomId, true);
      await Promise.all(feeds.map((feed) => untilListed(feed, lee)));

      await phone.cutOff();
      // No event shows that one connection is left, so wait as long as an end would take.
      await delay(settleMs);
      for (const feed of feeds) expectListed(feed, lee, typedAt);

      const cutAt = performance.now();
      await browser.cutOff();
      const endedAt = await Promise.all(feeds.map((feed) => untilListed(feed)));
      expect(Math.max(...endedAt) - cutAt).toBeLessThan(atOnceMs);
    });

    it.concurrent('does not name a removed member whose signal was still waiting, and names them again after they came back', async () => {
      const { kim, lee, roomId, feeds } = await meet(world);
      for (const isTyping of [true, false, true]) await signal(lee, roomId, isTyping);
      await kim.http(removeMember, { input: { roomId, userId: String(lee.userId) } });
      await Promise.all(feeds.map((feed) => untilListed(feed)));
      const told = feeds.map((feed) => feed.events.length);

      // The waiting signal goes out within a second of the first; its change must not arrive.
      await delay(1_500);
      for (const [index, feed] of feeds.entries()) {
        const late = listsOf(feed).slice(told[index]);
        expect(late.flat()).toEqual([]);
      }

      await kim.http(inviteMembers, { input: { roomId, userIds: [String(lee.userId)] } });
      await type(lee, roomId);
      await Promise.all(feeds.map((feed) => untilListed(feed, lee)));
    });

    it.concurrent('lets through at most one signal a second of one user, and the last state within a second', async () => {
      const [kim, lee, park] = await users(world, 0, 1, 1);
      const roomId = await kim.group(lee.userId, park.userId);
      const heard = await listen(roomId);
      const feed = watch(kim, roomId);
      await feed.count(1);

      // About 15 signals a second from Lee, and as many changes of state from Park, each answered before the next.
      const startedAt = performance.now();
      await Promise.all([
        repeat(30, 66, () => type(lee, roomId)),
        repeat(30, 66, (index) => signal(park, roomId, index % 2 === 0)),
      ]);
      const endedAt = performance.now();
      await untilListed(feed, lee);
      expect(performance.now() - endedAt).toBeLessThan(atOnceMs);
      // A signal that was merged with the next one goes out within a second.
      await delay(settleMs);
      await waitFor(() => heard.findLast(({ userId }) => userId === park.userId)?.isTyping === false, {
        what: "Park's last signal",
      });

      // The first signal goes out at once, and one more with each second.
      const allowed = 1 + Math.ceil((performance.now() - startedAt) / 1_000);
      const lees = heard.filter(({ userId }) => userId === lee.userId);
      expect(lees.length).toBeGreaterThan(1);
      expect(lees.length).toBeLessThanOrEqual(allowed);
      expect(lees.every(({ isTyping }) => isTyping)).toBe(true);
      const begun = heard.filter(({ userId, isTyping }) => userId === park.userId && isTyping);
      expect(begun.length).toBeGreaterThan(0);
      expect(begun.length).toBeLessThanOrEqual(allowed);
      expect(listsOf(feed).at(-1)).toEqual([lee.userId]);
    });

    it.concurrent('ends with the state that the user set last, however often it changes', async () => {
      const { lee, roomId, feeds } = await meet(world);
      for (const wanted of [true, false, true]) {
        for (let index = 0; index < 15; index += 1) await signalOverWs(lee, roomId, index % 3 > 0);
        await signalOverWs(lee, roomId, wanted);
        const saidAt = performance.now();
        await Promise.all(feeds.map((feed) => untilListed(feed, ...(wanted ? [lee] : []))));
        // It is right within a second, and late signals do not make it wrong again.
        expect(performance.now() - saidAt).toBeLessThan(atOnceMs);
        await delay(saidAt + 1_500 - performance.now());
        for (const feed of feeds) expect(listsOf(feed).at(-1)).toEqual(wanted ? [lee.userId] : []);
      }
    });
  }

  function describeLateness(): void {
    it('is known to a late subscriber and to a query on every instance, even if nobody watched before', async () => {
      const [kim, lee] = await users(world, 0, 1);
      const park = await newUser(world, 1);
      const roomId = await kim.group(lee.userId, park.userId);
      await type(lee, roomId);
      await type(kim, roomId);
      const everywhere = [await world.client(park.userId, 0), park];

      for (const client of everywhere) {
        await waitFor(async () => isSame(await typingNow(client, roomId), [lee, kim]), { what: 'both in the query' });
      }
      expect(await typingNow(kim, roomId)).toEqual([lee.userId]);
      const feeds = everywhere.map((client) => watch(client, roomId));
      await Promise.all(feeds.map((feed) => feed.count(1)));
      for (const feed of feeds) expect(listsOf(feed)).toEqual([[lee.userId, kim.userId]]);
      for (const client of everywhere) expect(await typingNow(client, roomId)).toEqual([lee.userId, kim.userId]);
    });

    it.each<[string, (people: { kim: TestClient; lee: Everywhere }, roomId: string) => Promise<unknown>]>([
      ['a stop', ({ lee: [here] }, roomId) => stop(here, roomId)],
      ['a stop on another instance', ({ lee: [, there] }, roomId) => stop(there, roomId)],
      ['a message', ({ lee: [here] }, roomId) => here.send(roomId, 'done')],
      ['a message on another instance', ({ lee: [, there] }, roomId) => there.send(roomId, 'done')],
      [
        'a removal',
        ({ kim, lee: [here] }, roomId) => kim.http(removeMember, { input: { roomId, userId: String(here.userId) } }),
      ],
      ['leaving', ({ lee: [here] }, roomId) => here.http(leaveRoom, { input: { roomId } })],
      ['leaving on another instance', ({ lee: [, there] }, roomId) => there.http(leaveRoom, { input: { roomId } })],
    ])('is empty for a client that comes after %s, if nobody watched before', async (_what, end) => {
      const [kim, lee] = await users(world, 0, 1);
      const roomId = await kim.group(lee.userId);
      await type(lee, roomId);
      await waitFor(async () => isSame(await typingNow(kim, roomId), [lee]), { what: 'the user in the query' });

      await end({ kim, lee: [lee, await world.client(lee.userId, 0)] }, roomId);

      const kims = [kim, await world.client(kim.userId, 1)];
      for (const client of kims) {
        // A timeout far below the lapse distinguishes an end from a lapse.
        await waitFor(async () => isSame(await typingNow(client, roomId), []), { what: 'nobody', timeoutMs: atOnceMs });
        const feed = watch(client, roomId);
        await feed.count(1);
        expect(listsOf(feed)).toEqual([[]]);
        feed.stop();
      }
    });

    it('is empty for a client that starts to watch at the moment of the stop or the message', async () => {
      const random = useRandom();
      const [kim, lee] = await users(world, 0, 1);
      const rounds = countTo(40).map(async (round) => {
        const own = new Random(random.between(0, 2 ** 31));
        const roomId = await kim.group(lee.userId);
        await type(lee, roomId);
        await delay(own.between(0, 500));
        const end = round % 2 === 0 ? stop(lee, roomId) : lee.send(roomId, 'done');
        await delay(own.between(0, 12));
        const feed = watch(kim, roomId);
        await Promise.all([end, feed.count(1)]);
        const endedAt = performance.now();
        return (await untilListed(feed)) - endedAt;
      });
      expect(Math.max(...(await Promise.all(rounds)))).toBeLessThan(atOnceMs);
    });
  }

  function describeAccess(): void {
    it('is closed to strangers in both directions, in an existing and an unknown room', async () => {
      const [kim, lee, stranger] = await users(world, 0, 1, 1);
      const roomId = await kim.group(lee.userId);
      const feed = watch(kim, roomId);
      await feed.count(1);
      for (const id of [roomId, randomUUID()]) {
        await expect(type(stranger, id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
        await expect(stop(stranger, id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
        expect(await watch(stranger, id).ended()).toMatchObject({ code: 'NOT_FOUND' });
        expect((await stranger.http(typingIn, { id })).room).toBeNull();
      }

      await type(lee, roomId);
      await untilListed(feed, lee);
      expect(listsOf(feed)).toEqual([[], [lee.userId]]);
    });

    it.each(['', '*', '>', 'room', `${randomUUID()}.>`])('is refused for the id %j', async (id) => {
      const kim = await newUser(world, 0);
      await expect(type(kim, id)).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
      expect(await watch(kim, id).ended()).toMatchObject({ code: 'BAD_USER_INPUT' });
    });

    it('ends at once for a removed member, and no longer names them', async () => {
      const { kim, lee, roomId, feeds } = await meet(world);
      const there = await world.client(lee.userId, 0);
      const park = await newUser(world, 0);
      await kim.http(inviteMembers, { input: { roomId, userIds: [String(park.userId)] } });
      const lees = [watch(lee, roomId), watch(there, roomId)];
      await Promise.all(lees.map((feed) => feed.count(1)));
      await type(lee, roomId);
      await Promise.all(feeds.map((feed) => untilListed(feed, lee)));

      await kim.http(removeMember, { input: { roomId, userId: String(lee.userId) } });
      const removedAt = performance.now();
      const endings = await Promise.all(lees.map((feed) => feed.ended()));
      expect(performance.now() - removedAt).toBeLessThan(atOnceMs);
      expect(endings).toMatchObject([{ code: 'FORBIDDEN' }, { code: 'FORBIDDEN' }]);
      const endedAt = await Promise.all(feeds.map((feed) => untilListed(feed)));
      expect(Math.max(...endedAt) - removedAt).toBeLessThan(atOnceMs);

      await type(park, roomId);
      await Promise.all(feeds.map((feed) => untilListed(feed, park)));
      for (const feed of lees) expect(listsOf(feed).flat()).toEqual([]);
      await expect(waitForRefusal(lee, roomId)).resolves.toMatchObject({ code: 'NOT_FOUND' });
    });
  }

  function describeFloods(): void {
    it('brings no subscriber more than 4 lists a second while 50 users type and stop at random', async () => {
      const random = useRandom();
      const crowd = await Promise.all(countTo(50).map((index) => newUser(world, index % 2)));
      const [first, ...others] = crowd as [TestClient, ...TestClient[]];
      const roomId = await first.group(...others.map(({ userId }) => userId));
      const witnesses = await Promise.all([0, 1].map(async (instance) => world.client(first.userId, instance)));
      const feeds = [...witnesses, ...others.slice(0, 8)].map((client) => watch(client, roomId));
      const startedAt = performance.now();
      await Promise.all(feeds.map((feed) => feed.count(1)));

      // Run until every feed has enough lists to measure a rate, however slow the machine is.
      const isTooEarly = () => feeds.some((feed) => feed.events.length < 16);
      const until = performance.now() + 45_000;
      const last = new Map<number, boolean>();
      await Promise.all(
        others.map(async (client) => {
          const own = random.fork();
          while (isTooEarly() && performance.now() < until) {
            const isTyping = own.next() < 0.6;
            await signalOverWs(client, roomId, isTyping);
            last.set(client.userId, isTyping);
            await delay(own.between(100, 900));
          }
        }),
      );
      const expected = others.map(({ userId }) => userId).filter((userId) => last.get(userId));
      expect(expected.length).toBeGreaterThan(5);

      // The typing users keep typing until all feeds are quiet.
      await Promise.all(others.filter(({ userId }) => last.get(userId)).map((client) => type(client, roomId)));
      await Promise.all(
        feeds.map((feed, index) => {
          const viewer = index < 2 ? first.userId : others[index - 2]?.userId;
          const wanted = expected.filter((userId) => userId !== viewer);
          return feed.until(() => isSameSet(listsOf(feed).at(-1) ?? [], wanted), 'the last list');
        }),
      );
      const allowed = 1 + 4 * ((performance.now() - startedAt) / 1_000);
      for (const feed of feeds) {
        expect(feed.events.length).toBeGreaterThan(13);
        expect(feed.events.length).toBeLessThanOrEqual(allowed);
      }
    });

    it('arrives even if others publish garbage on the subject', async () => {
      const { kim, lee, roomId, feeds } = await meet(world);
      const bodies = [
        'hello',
        '',
        'null',
        '{}',
        '[1]',
        '{"userId":"4","isTyping":true}',
        '{"userId":4,"isTyping":1}',
        '{"userId":4.5,"isTyping":true}',
        '{"userId":-4,"isTyping":true}',
        '{"userId":0,"isTyping":true}',
        '{"userId":9007199254740991,"isTyping":true}',
        '{"userId":1e300,"isTyping":true}',
      ];
      for (const body of bodies) nats.publish(`chat.room.${roomId}.typing`, body);
      await nats.flush();

      await type(lee, roomId);
      await Promise.all(feeds.map((feed) => untilListed(feed, lee)));
      const late = watch(await world.client(kim.userId, 1), roomId);
      await late.count(1);
      expect(listsOf(late)).toEqual([[lee.userId]]);
      expect(await typingNow(await world.client(kim.userId, 0), roomId)).toEqual([lee.userId]);
      for (const feed of [...feeds, late]) expect(feed.error).toBeUndefined();
    });
  }

  function describeLosses(): void {
    it('works on the same instance while nats-server is down, and between instances once it is back', async () => {
      const { kim, lee, roomId, feeds } = await meet(world);
      const [beside, elsewhere] = [await newUser(world, 1), await world.client(lee.userId, 0)];
      await kim.http(inviteMembers, { input: { roomId, userIds: [String(beside.userId)] } });
      for (const wipe of [false, true]) {
        await world.nats.kill();
        await signalOverWs(beside, roomId, true);
        await untilListed(feeds[1], beside);
        await stop(beside, roomId);
        await untilListed(feeds[1]);
        await type(lee, roomId);
        await untilListed(feeds[1], lee);
        // This instance learns from the database of a message on the other one.
        await elsewhere.send(roomId, 'done');
        const sentAt = performance.now();
        expect((await untilListed(feeds[1])) - sentAt).toBeLessThan(atOnceMs);
        expect(await typingNow(await world.client(kim.userId, 0), roomId)).toEqual([]);

        await world.nats.restart({ wipe });
        await waitFor(
          async () => {
            await type(lee, roomId);
            return isSame(listsOf(feeds[0]).at(-1), [lee]);
          },
          { what: 'the list on the other instance', pollMs: 500 },
        );
        await stop(lee, roomId);
        await Promise.all(feeds.map((feed) => untilListed(feed)));
        for (const feed of feeds) expect([feed.error, feed.isEnded]).toEqual([undefined, false]);

        // The stream works again for late subscribers.
        const late = await kim.group(lee.userId);
        await type(lee, late);
        await waitFor(async () => isSame(await typingNow(kim, late), [lee]), { what: 'the list by the stream' });
      }
    });

    it('ends for a removed member while nats-server is down, before it would lapse', async () => {
      const { kim, lee, roomId, feeds } = await meet(world);
      const lees = [watch(lee, roomId), watch(await world.client(lee.userId, 0), roomId)];
      await Promise.all(lees.map((feed) => feed.count(1)));
      await type(lee, roomId);
      await Promise.all(feeds.map((feed) => untilListed(feed, lee)));
      await world.nats.kill();
      onTestFinished(() => world.nats.restart({ wipe: false }));

      await kim.http(removeMember, { input: { roomId, userId: String(lee.userId) } });
      const removedAt = performance.now();
      const endings = await Promise.all(lees.map((feed) => feed.ended()));
      await Promise.all(feeds.map((feed) => untilListed(feed)));
      expect(performance.now() - removedAt).toBeLessThan(atOnceMs);
      expect(endings).toMatchObject([{ code: 'FORBIDDEN' }, { code: 'FORBIDDEN' }]);
    });
  }

  /** Collects the signals on the room's subject from now on. */
  async function listen(roomId: string) {
    const heard: { userId: number; isTyping: boolean; at: number }[] = [];
    nats.subscribe(`chat.room.${roomId}.typing`, {
      callback: (_error, message) => {
        heard.push({ ...message.json<{ userId: number; isTyping: boolean }>(), at: performance.now() });
      },
    });
    await nats.flush();
    return heard;
  }
});

describeWithNats('typing that is over', () => {
  const world = useWorld({ instances: 1, env: metricsEnv });
  let instance: Instance;

  beforeAll(() => {
    instance = world.instances[0] as Instance;
  });

  it('leaves nothing behind: no feed, NATS subject, consumer or timer', async () => {
    const kim = await newUser(world, 0);
    const lee = await newUser(world, 0);
    const roomIds = await Promise.all(countTo(10).map(() => kim.group(lee.userId)));
    const idle = await lowest(1_500);
    expect(idle.get('fairway_room_feeds')).toBe(0);
    const connection = await connectTo(world);
    onTestFinished(() => connection.close());

    const socket = await RawSocket.connect(instance, kim.token);
    let peak = 0;
    await inParallel(1_300, async (index) => {
      const roomId = roomIds[index % roomIds.length] as string;
      if (index % 13 < 10) await signal(lee, roomId, index % 3 > 0);
      else await leaveAgain(socket, `s${index}`, roomId, index % 2 === 0);
      if (index % 50 === 0) peak = Math.max(peak, (await readMetrics(instance)).get('fairway_room_feeds') ?? 0);
    });
    expect(peak).toBeGreaterThan(0);
    socket.ws.terminate();

    await waitFor(
      async () => {
        const figures = await readMetrics(instance);
        const left = told.filter((name) => (figures.get(name) ?? 0) > (idle.get(name) ?? 0));
        if (left.length > 0) throw new Error(left.map((name) => `${name} ${figures.get(name)}`).join(', '));
        return true;
      },
      { what: 'everything to be given back', pollMs: 250 },
    );
    const manager = await jetstreamManager(connection);
    expect((await manager.streams.info('CHAT_TYPING')).state.consumer_count).toBe(0);
    expect(instance.output()).not.toMatch(/"level":[56]0/);
  });

  /** Unsubscribes after the first list or, if it is not patient, before that. */
  async function leaveAgain(socket: RawSocket, id: string, roomId: string, isPatient: boolean): Promise<void> {
    socket.subscribe(id, { query: typing.toString(), variables: { roomId } });
    if (isPatient) await socket.until((message) => message.id === id && message.type === 'next', 'the present list');
    socket.send({ id, type: 'complete' });
  }

  /** The minimum of each figure in that time. */
  async function lowest(forMs: number): Promise<Map<string, number>> {
    const end = performance.now() + forMs;
    const found = new Map<string, number>();
    while (performance.now() < end) {
      const figures = await readMetrics(instance);
      for (const name of told) found.set(name, Math.min(found.get(name) ?? Infinity, figures.get(name) ?? 0));
      await delay(250);
    }
    return found;
  }
});

const told = ['fairway_room_feeds', 'fairway_nats_subjects', 'nodejs_active_resources{type="Timeout"}'];

/** The same user at the instance where they typed, and at the other. */
type Everywhere = readonly [TestClient, TestClient];

let lastUserId = 1_000;

/** A user who is in no other test's rooms and has no other connection. */
const newUser = (world: World, instance: number): Promise<TestClient> => {
  lastUserId += 1;
  return world.client(lastUserId, instance);
};

async function users<Instances extends number[]>(world: World, ...instances: Instances) {
  const clients = await Promise.all(instances.map((instance) => newUser(world, instance)));
  return clients as { [Index in keyof Instances]: TestClient };
}

/** Kim, on the first instance, and Lee, on the second, have a room that Kim watches on both. */
async function meet(world: World) {
  const [kim, lee] = await users(world, 0, 1);
  const roomId = await kim.group(lee.userId);
  const feeds = [watch(kim, roomId), watch(await world.client(kim.userId, 1), roomId)] as const;
  await Promise.all(feeds.map((feed) => feed.count(1)));
  return { kim, lee, roomId, feeds };
}

/** The server checks a signal again one second after the last accepted one. */
const waitForRefusal = (client: TestClient, roomId: string): Promise<ApiError> =>
  waitFor(
    () =>
      type(client, roomId).then(
        () => undefined,
        (error: ApiError) => error,
      ),
    { what: 'the refusal', pollMs: 200 },
  );

async function watchOverSse(world: World, instance: number, { token }: TestClient, roomId: string) {
  const feed: TypingFeed = new Feed();
  const abort = new AbortController();
  feed.stop = () => abort.abort();
  const { body } = await fetch(`${world.instances[instance]?.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: typing.toString(), variables: { roomId } }),
    signal: abort.signal,
  });
  const read = async () => {
    let rest = '';
    for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const { data } = line.startsWith('data: {') ? JSON.parse(line.slice('data: '.length)) : {};
        if (data !== undefined) feed.accept(data);
      }
    }
  };
  void read().catch(() => undefined);
  return feed;
}

const isSameSet = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((userId) => b.includes(userId));

/** Asserts that the feed lists the client, or has done so until a signal of that time lapsed. */
function expectListed(feed: TypingFeed, { userId }: TestClient, typedAt: number): void {
  expect(listsOf(feed).slice(0, 2)).toEqual([[], [userId]]);
  const [, , endedAt = Infinity] = feed.times;
  expect(endedAt - typedAt).toBeGreaterThan(lapseMs - 50);
}

async function repeat(count: number, pauseMs: number, act: (index: number) => Promise<unknown>): Promise<void> {
  const startedAt = performance.now();
  for (let index = 0; index < count; index += 1) {
    await delay(Math.max(0, startedAt + index * pauseMs - performance.now()));
    await act(index);
  }
}

async function inParallel(count: number, act: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) {
      next += 1;
      await act(next);
    }
  };
  await Promise.all(countTo(16).map(worker));
}

function connectTo({ nats: { url, user, password } }: World): Promise<NatsConnection> {
  return connect({ servers: url, user, pass: password });
}
