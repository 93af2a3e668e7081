import { beforeAll, describe, expect, it } from 'vitest';
import { TestClient } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import { inviteMembers, leaveRoom, presence, presenceOf, removeMember, whoAmI } from '../support/operations.js';
import { openConnection, openConnections, PresenceWatch, quiet, range } from '../support/presence-watch.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { postOperation, RawSocket } from '../support/wire.js';
import { nameEverybody, useWorld, type World } from '../support/world.js';

const graceMs = 10_000;
const leaseMs = 30_000;
/** The time until every observer has an event, on a shared machine. It ends before a lease of 20 to 30 s would. */
const tellMs = 8_000;
/** Longer than an event usually takes, for tests in which none comes. */
const settleMs = 1_500;
/** Times that differ by less belong to the same moment, and not to the end of a grace. */
const momentMs = graceMs / 2;

describeWithNats('presence', () => {
  describe.concurrent('of somebody with several connections', () => {
    const world = useWorld();
    const at = (place: number) => world.instances[place] as Instance;
    const observerIds = [4, 5] as const;
    let observers: readonly [TestClient, TestClient];
    let roomId: string;

    beforeAll(async () => {
      observers = [await world.client(observerIds[0], 0), await world.client(observerIds[1], 1)];
      roomId = await observers[0].group(observerIds[1], ...range(100, 20));
      await nameEverybody(world);
    });

    /** One observer at each instance. */
    const watch = (...userIds: number[]) => observers.map((observer) => new PresenceWatch(observer, userIds));

    it('is ONLINE with a phone on A and a browser on B until both are gone for 10 s', async () => {
      const userId = 100;
      const watches = watch(userId);
      for (const each of watches) await each.until('OFFLINE', [userId]);
      expect(watches.map((each) => each.of(userId)[0]?.lastSeenAt)).toEqual([null, null]);

      const [phone, browser] = [await openConnection(at(0), userId), await openConnection(at(1), userId)];
      for (const each of watches) await each.until('ONLINE', [userId]);
      phone.ws.close();
      // Longer than the grace: closing one of the two sends no event.
      await quiet(graceMs + settleMs);
      for (const each of watches) expect(each.statuses(userId)).toEqual(['OFFLINE', 'ONLINE']);

      const [wentAt, wentDate] = [performance.now(), Date.now()];
      browser.ws.terminate();
      for (const each of watches) {
        const [told] = await each.until('OFFLINE', [userId], graceMs + tellMs);
        expect((told?.at ?? 0) - wentAt).toBeGreaterThan(graceMs - 100);
        expect(Math.abs((told?.lastSeenAt ?? 0) - wentDate), 'the connection went then').toBeLessThan(momentMs);
        expect(each.statuses(userId)).toEqual(['OFFLINE', 'ONLINE', 'OFFLINE']);
      }
      const [known] = (await observers[1].http(presenceOf, { ids: [String(userId)] })).users;
      expect(known?.presence).toMatchObject({ status: 'OFFLINE', user: { id: String(userId) } });
      expect(Math.abs(Date.parse(String(known?.presence.lastSeenAt)) - wentDate)).toBeLessThan(momentMs);
    });

    it('is ONLINE throughout a reload and a move to another instance within the grace', async () => {
      const [reloading, moving] = [101, 102];
      const connections = await openConnections(at(0), [reloading, moving]);
      // A socket may be acknowledged a moment before its user is ONLINE.
      for (const each of watch(reloading, moving)) await each.until('ONLINE', [reloading, moving]);
      const watches = watch(reloading, moving);
      for (const each of watches) await each.until('ONLINE', [reloading, moving]);

      for (const connection of connections) connection.ws.terminate();
      await quiet(graceMs / 2);
      await openConnection(at(0), reloading);
      await openConnection(at(1), moving);
      // The end of the grace of the connections that are gone.
      await quiet(graceMs / 2 + settleMs);
      for (const each of watches) {
        expect(each.statuses(reloading)).toEqual(['ONLINE']);
        expect(each.statuses(moving)).toEqual(['ONLINE']);
      }
    });

    it('is ONLINE by an SSE stream, and not by requests', async () => {
      const [streaming, asking] = [103, 104];
      const watches = watch(streaming, asking);
      for (const each of watches) await each.until('OFFLINE', [streaming, asking]);
      const [streamer, asker] = [await world.client(streaming, 0), await world.client(asking, 1)];

      const stream = streamer.roomEventsOverSse({ roomId });
      await stream.count(1);
      for (const each of watches) await each.until('ONLINE', [streaming]);
      // Sends requests until the OFFLINE of the other user arrives.
      const asked = setInterval(() => void asker.http(whoAmI, {}), 200);
      stream.stop();
      for (const each of watches) await each.until('OFFLINE', [streaming], graceMs + tellMs);
      clearInterval(asked);
      for (const each of watches) expect(each.statuses(asking)).toEqual(['OFFLINE']);
      const [own] = (await asker.http(presenceOf, { ids: [String(asking)] })).users;
      expect(own?.presence.status).toBe('OFFLINE');
    });

    it('includes the viewer, with a name', async () => {
      const self = await world.client(105, 1);
      const own = new PresenceWatch(self, [105, observerIds[0]]);
      await own.until('ONLINE', [105]);
      expect((await self.ws(presenceOf, { ids: ['105'] })).users[0]?.presence).toMatchObject({
        status: 'ONLINE',
        lastSeenAt: null,
      });
      await waitFor(() => own.feed.events.some(({ presence }) => presence.user.name !== ''), { what: 'a name' });
    });

    it('covers 500 users in one subscription', async () => {
      const ids = range(1_000, 500);
      const kim = await world.client(6, 0);
      await kim.group(...ids.slice(0, 250));
      await kim.group(...ids.slice(250));
      const all = new PresenceWatch(await world.client(6, 1), ids);
      await all.until('OFFLINE', ids);
      await openConnections(at(0), ids.slice(0, 100));
      await all.until('ONLINE', ids.slice(0, 100));
      expect(all.everTold('ONLINE').size).toBe(100);
    });
  });

  describe.concurrent('of strangers', () => {
    // The directory finds strangers here, which must not reveal their presence.
    const world = useWorld({ env: { USER_DIRECTORY: 'on' } });
    const at = (place: number) => world.instances[place] as Instance;

    it('is hidden, both at first and when they come and go', async () => {
      const [kim, friend, stranger, nobody] = [await world.client(4, 0), 210, 211, 2_000_000_000];
      await kim.group(friend);
      await openConnection(at(1), stranger);
      const watch = new PresenceWatch(kim, [friend, stranger, nobody]);
      await watch.until('OFFLINE', [friend]);

      const visit = await openConnection(at(0), 212);
      const watchOfVisit = new PresenceWatch(kim, [212, friend]);
      visit.ws.close();
      const [gone] = await openConnections(at(0), [friend]);
      await watch.until('ONLINE', [friend]);
      await watchOfVisit.until('ONLINE', [friend]);
      gone?.ws.close();
      await watch.until('OFFLINE', [friend], graceMs + tellMs);
      await watchOfVisit.until('OFFLINE', [friend]);

      expect([watch.of(stranger), watch.of(nobody), watchOfVisit.of(212)]).toEqual([[], [], []]);
      const ids = [stranger, 212, nobody].map(String);
      const { users } = await kim.http(presenceOf, { ids });
      for (const user of users.slice(0, 2)) {
        expect(user?.presence).toMatchObject({ status: 'OFFLINE', lastSeenAt: null });
      }
    });

    it('is visible from the first shared room until the last one is left, and then OFFLINE', async () => {
      const [lee, parkId] = [await world.client(220, 0), 221];
      const elsewhere = await world.client(220, 1);
      const watches = [new PresenceWatch(lee, [parkId, 220]), new PresenceWatch(elsewhere, [parkId, 220])];
      for (const watch of watches) await watch.until('ONLINE', [220]);
      await openConnection(at(1), parkId);
      const park = await world.client(parkId, 1);
      const theirs = new PresenceWatch(park, [220]);

      // From here on nobody connects or disconnects; only the shared rooms change.
      const roomId = await park.group(220);
      for (const watch of watches) await watch.until('ONLINE', [parkId]);
      await theirs.until('ONLINE', [220]);
      const other = await park.group(220);
      await park.http(removeMember, { input: { roomId: other, userId: '220' } });
      await park.http(removeMember, { input: { roomId, userId: '220' } });
      for (const watch of watches) {
        const [told] = await watch.until('OFFLINE', [parkId]);
        expect(told?.lastSeenAt).toBeNull();
        expect(watch.statuses(parkId)).toEqual(['ONLINE', 'OFFLINE']);
        expect(watch.statuses(220)).toEqual(['ONLINE']);
      }
      await theirs.until('OFFLINE', [220]);
      const [known] = (await lee.http(presenceOf, { ids: [String(parkId)] })).users;
      expect(known?.presence).toMatchObject({ status: 'OFFLINE', lastSeenAt: null });

      // After a new invitation Lee sees Park's true presence, and no longer after leaving.
      await park.http(inviteMembers, { input: { roomId, userIds: ['220'] } });
      for (const watch of watches) await watch.until('ONLINE', [parkId]);
      await theirs.until('ONLINE', [220]);
      await lee.http(leaveRoom, { input: { roomId } });
      for (const watch of watches) await watch.until('OFFLINE', [parkId]);
      await theirs.until('OFFLINE', [220]);
      const told = watches.map((watch) => watch.of(parkId).length);

      // As strangers they get no events of each other, for the grace and two sweeps.
      await park.cutOff();
      await quiet(graceMs + 6_500);
      expect(watches.map((watch) => watch.of(parkId).length)).toEqual(told);
    });
  });

  describe.concurrent('with bad input', () => {
    const world = useWorld({ instances: 1, env: { MAX_WATCHED_USERS: '20' } });
    const subscribeTo = (userIds: readonly string[]) => ({ query: presence.toString(), variables: { userIds } });

    it('refuses no ids, too many ids and ids that are not numbers, and ends nothing else on the socket', async () => {
      const kim = await TestClient.create(world.instances[0] as Instance, 4);
      const socket = await RawSocket.connect(world.instances[0] as Instance, kim.token);
      socket.subscribe('good', subscribeTo(range(1, 20).map(String)));
      await socket.until(({ id, type }) => id === 'good' && type === 'next', 'the viewer themselves');

      const tooMany = range(1, 21).map(String);
      for (const ids of [
        [],
        tooMany,
        ['4', 'x'],
        ['-1'],
        ['0'],
        ['4.5'],
        ['99999999999'],
        ['>'],
        ['*'],
        ['4.presence'],
      ]) {
        const { errors } = await socket.ask(subscribeTo(ids));
        expect(errors?.[0]?.extensions.code, ids.join()).toBe('BAD_USER_INPUT');
      }
      // A repeated id counts once.
      socket.subscribe('twice', subscribeTo(Array.from({ length: 100 }, () => '4')));
      await socket.until(({ id, type }) => id === 'twice' && type === 'next', 'the viewer once more');
      expect((await socket.ask({ query: '{ viewer { id } }' })).data).toEqual({ viewer: { id: '4' } });
      expect(socket.messages.filter(({ id, type }) => id === 'good' && type !== 'next')).toEqual([]);
      socket.ws.close();
    });

    it('refuses a client that is not logged in', async () => {
      const { url } = world.instances[0] as Instance;
      const { text } = await postOperation({ url }, subscribeTo(['4']), { accept: 'text/event-stream' });
      expect(text).toContain('"UNAUTHENTICATED"');
      const answer = await postOperation({ url }, { query: presenceOf.toString(), variables: { ids: ['4'] } });
      expect(answer.errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
    });
  });

  describe.concurrent('at the end of an instance', () => {
    const world = useWorld();

    it('ends with its lease after it was killed for all of its 100 users, and for nobody else', async () => {
      const [victims, others, both] = [range(100, 100), range(300, 10), range(400, 10)];
      const { watch, doomed } = await crowd(world, victims, others, both);
      const killedAt = performance.now();
      await doomed.kill();

      const told = await watch.until('OFFLINE', victims, 2 * leaseMs);
      // The lease has been renewed within the last 10 s, or a little longer ago.
      expect(Math.min(...told.map(({ at }) => at - killedAt))).toBeGreaterThan(leaseMs / 2);
      // Two sweeps.
      await quiet(6_500);
      expect([...watch.everTold('OFFLINE')].sort()).toEqual([...victims].sort());
      expect(watch.told.length, 'each of them is told once').toBe(victims.length);
    });

    it('ends with the grace when it stops, except for users who reconnect elsewhere', async () => {
      const [leaving, others, both, moving] = [range(500, 50), range(600, 10), range(700, 10), range(800, 20)];
      const { watch, doomed, staying } = await crowd(world, [...leaving, ...moving], others, both);
      const stoppedAt = performance.now();
      await doomed.stop();
      await openConnections(staying, moving);

      const told = await watch.until('OFFLINE', leaving);
      const delays = told.map(({ at }) => at - stoppedAt);
      expect(Math.min(...delays)).toBeGreaterThan(graceMs - 100);
      expect(Math.max(...delays)).toBeLessThan(graceMs + tellMs);
      await quiet(6_500);
      expect([...watch.everTold('OFFLINE')].sort()).toEqual(leaving);
      expect(watch.told.length).toBe(leaving.length);
    });

    it('ends with their own grace for users who left before the stop, and with the stop for the rest', async () => {
      const [doomed, staying] = [await world.start(), world.instances[0] as Instance];
      const [leftId, stayingId, silentId] = [900, 901, 902];
      const everybody = [leftId, stayingId, silentId];
      const observer = await TestClient.create(staying, 6);
      await observer.group(...everybody);
      await nameEverybody(world);
      const [left, , silent] = await openConnections(doomed, everybody);
      const watch = new PresenceWatch(observer, everybody);
      await watch.until('ONLINE', everybody);

      left?.ws.terminate();
      const [leftAt, leftDate] = [performance.now(), Date.now()];
      await quiet(graceMs - 3_000);
      // It never answers the close, so the server waits for it.
      silent?.ws.pause();
      const stoppedAt = performance.now();
      const stopped = doomed.stop();

      const [one] = await watch.until('OFFLINE', [leftId]);
      expect((one?.at ?? 0) - leftAt).toBeGreaterThan(graceMs - 100);
      expect((one?.at ?? 0) - leftAt).toBeLessThan(graceMs + tellMs);
      expect(Math.abs((one?.lastSeenAt ?? 0) - leftDate), 'it went then').toBeLessThan(momentMs);
      for (const { at } of await watch.until('OFFLINE', [stayingId, silentId])) {
        expect(at - stoppedAt).toBeGreaterThan(graceMs - 100);
        expect(at - stoppedAt).toBeLessThan(graceMs + tellMs);
      }
      silent?.ws.terminate();
      await stopped;
    });
  });
});

/** Users at an instance that is about to end, at another one and at both, and an observer who knows them all. */
async function crowd(world: World, doomedIds: readonly number[], otherIds: readonly number[], both: readonly number[]) {
  const doomed = await world.start();
  const staying = world.instances[0] as Instance;
  const observer = await world.client(doomedIds[0] === 100 ? 4 : 5, 0);
  const everybody = [...doomedIds, ...otherIds, ...both];
  await observer.group(...everybody);
  await nameEverybody(world);
  await openConnections(doomed, [...doomedIds, ...both]);
  await openConnections(staying, [...otherIds, ...both]);
  const watch = new PresenceWatch(observer, everybody);
  await watch.until('ONLINE', everybody);
  // Only later events count.
  watch.feed.events.splice(0);
  watch.feed.times.splice(0);
  return { watch, doomed, staying };
}
