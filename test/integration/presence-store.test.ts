import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connectDatabase, type Database } from '../../src/db/database.js';
import { createPresenceStore } from '../../src/db/presence.js';
import type { PresenceStore, UserConnection } from '../../src/domain/presence.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { type Random, useRandom } from '../support/random.js';

const leaseMs = 30_000;
const patienceMs = 10_000;
const rounds = 200;
const stepsPerRound = 8;

describe('the connections of users to all instances in PostgreSQL', () => {
  let database: TestDatabase;
  /** Separate database connections, like those of two instances. */
  let dbs: Database[];
  let stores: [PresenceStore, PresenceStore];
  let lastUserId = 0;

  beforeAll(async () => {
    database = await createDatabase();
    dbs = [connectDatabase({ url: database.url }), connectDatabase({ url: database.url })];
    stores = dbs.map(createPresenceStore) as [PresenceStore, PresenceStore];
  });
  afterAll(async () => {
    await Promise.all(dbs.map((db) => db.close()));
    await database.drop();
  });

  beforeEach(async () => {
    await forgetConnections();
    await database.query('UPDATE chat_users SET online_since = NULL');
  });

  const connectionOf = (userId: number): UserConnection => ({ id: randomUUID(), userId });
  const newUser = () => ++lastUserId;
  const newUsers = (count: number) => Array.from({ length: count }, newUser);

  /** An instance that holds its lease. */
  async function startInstance(store = stores[0]): Promise<string> {
    const id = randomUUID();
    expect(await store.holdLease(id, leaseMs)).toBe(false);
    return id;
  }

  /** Lets this much time pass for the lease of one instance, or for all leases. */
  const age = (ms: number, instanceId: string | null = null) =>
    database.query(
      `UPDATE chat_instances SET held_since = held_since - $1 * interval '1 ms',
         renewed_at = renewed_at - $1 * interval '1 ms', expires_at = expires_at - $1 * interval '1 ms'
       WHERE $2::uuid IS NULL OR id = $2::uuid`,
      [ms, instanceId],
    );

  const forgetConnections = () => database.query('TRUNCATE chat_connections, chat_instances CASCADE');

  const countConnections = async (userId: number) =>
    (await database.query('SELECT FROM chat_connections WHERE user_id = $1', [userId])).length;

  /** The presence of the user, as others see it. */
  async function read(userId: number) {
    const [presence] = await stores[0].readPresences([userId]);
    const seenAt = presence?.lastSeenAt?.getTime() ?? Number.NaN;
    return { status: presence?.status, seenAt, seenAgoMs: Date.now() - seenAt };
  }

  it("is online exactly while there is a connection, however two instances' connections come and go at once", async () => {
    const random = useRandom();
    const users = newUsers(2);
    const instances = await Promise.all([startInstance(stores[0]), startInstance(stores[1])]);
    const here: UserConnection[][] = [[], []];
    /** For each user, the number of reports as online minus those as offline. */
    const score = new Map(users.map((userId) => [userId, 0]));
    let changes = 0;
    const count = (ids: readonly number[] | null, by: number) => {
      changes += ids?.length ?? 0;
      for (const id of ids ?? []) score.set(id, (score.get(id) ?? 0) + by);
    };

    for (let round = 0; round < rounds; round += 1) {
      await Promise.all(Array.from({ length: stepsPerRound }, (_, step) => takeStep(step % 2)));
      const rows = await database.query<{ id: number; isOnline: boolean; connections: number }>(
        `SELECT u.id, u.online_since IS NOT NULL AS "isOnline",
           (SELECT count(*)::int FROM chat_connections c WHERE c.user_id = u.id) AS connections
         FROM chat_users u WHERE u.id = ANY($1)`,
        [users],
      );
      for (const { id, isOnline, connections } of rows) {
        expect(connections).toBe(here.flat().filter(({ userId }) => userId === id).length);
        expect(isOnline, `round ${round}`).toBe(connections > 0);
        expect(score.get(id), `what was answered by round ${round}`).toBe(connections > 0 ? 1 : 0);
      }
    }
    expect(changes, 'changes of presence').toBeGreaterThan(rounds / 4);

    async function takeStep(at: number): Promise<void> {
      const [store, instanceId] = [stores[at], instances[at]] as [PresenceStore, string];
      const connections = here[at] as UserConnection[];
      const leaving = connections.length > 0 && random.next() < 0.7 ? connections.splice(0, random.between(1, 4)) : [];
      if (leaving.length > 0) {
        return count(await store.disconnect(leaving.map((connection) => ({ ...connection, agoMs: 10 }))), -1);
      }
      const arriving = Array.from({ length: random.between(1, 2) }, () => connectionOf(random.pick(users)));
      // Add connections only once they are stored: a connection closes only after it has opened.
      const online = await store.connect(instanceId, arriving);
      connections.push(...arriving);
      count(online, 1);
    }
  });

  it('never deadlocks if instances die while the same users come and go in any order', async () => {
    const random = useRandom();
    const users = newUsers(30);
    const shuffled = () => shuffle(users, random).slice(0, 15).map(connectionOf);
    const living = await startInstance();
    await age(patienceMs + 1_000, living);

    for (let round = 0; round < 60; round += 1) {
      const dying = await Promise.all([0, 1, 2, 3].map(() => startInstance()));
      await Promise.all(dying.map((id) => stores[0].connect(id, shuffled())));
      for (const id of dying) await age(leaseMs + 1_000, id);
      await stores[0].holdLease(living, leaseMs);

      const connections = shuffled();
      const more = shuffled();
      await Promise.all([
        stores[0].connect(living, connections),
        stores[1].connect(living, more),
        stores[0].expireLeases(living, patienceMs),
        stores[1].expireLeases(living, patienceMs),
        stores[1].disconnect(shuffled().map((connection) => ({ ...connection, agoMs: 1 }))),
      ]);
      await stores[0].disconnect([...connections, ...more].map((connection) => ({ ...connection, agoMs: 1 })));
      await stores[0].expireLeases(living, patienceMs);
    }
    expect(await database.query('SELECT FROM chat_connections')).toEqual([]);
    expect(await Promise.all(users.map(async (id) => (await read(id)).status))).toEqual(users.map(() => 'OFFLINE'));
  });

  it('counts a connection once that is reported twice', async () => {
    const instance = await startInstance();
    const connection = connectionOf(newUser());

    expect(await stores[0].connect(instance, [connection])).toEqual([connection.userId]);
    expect(await stores[0].connect(instance, [connection])).toEqual([]);
    expect(await countConnections(connection.userId)).toBe(1);
    expect(await stores[1].disconnect([{ ...connection, agoMs: 0 }])).toEqual([connection.userId]);
    expect(await stores[1].disconnect([{ ...connection, agoMs: 0 }])).toEqual([]);
  });

  it('returns null if the lease is lost, and accepts the connections once it is held again', async () => {
    const instance = await startInstance();
    const connection = connectionOf(newUser());
    await forgetConnections();

    expect(await stores[0].connect(instance, [connection])).toBeNull();
    expect(await countConnections(connection.userId)).toBe(0);
    expect(await stores[0].holdLease(instance, leaseMs)).toBe(false);
    expect(await stores[0].connect(instance, [connection])).toEqual([connection.userId]);
    expect(await stores[0].holdLease(instance, leaseMs)).toBe(true);
  });

  it('ends released leases for an instance that has just started; lapsed ones wait for its patience', async () => {
    const [released, lapsed] = [await startInstance(), await startInstance()];
    const [gone, missing] = [connectionOf(newUser()), connectionOf(newUser())];
    await stores[0].connect(released, [gone]);
    await stores[0].connect(lapsed, [missing]);
    await stores[0].releaseLease(released, 10_000, []);
    const fresh = await startInstance(stores[1]);
    expect(await stores[1].expireLeases(fresh, patienceMs), 'within the grace').toEqual([]);

    await age(leaseMs + 1_000, lapsed);
    await age(11_000, released);
    expect(await stores[1].expireLeases(fresh, patienceMs)).toEqual([gone.userId]);
    expect(await read(gone.userId)).toMatchObject({ status: 'OFFLINE' });
    expect(await read(missing.userId)).toMatchObject({ status: 'ONLINE' });

    await age(patienceMs + 100, fresh);
    expect(await stores[1].expireLeases(fresh, patienceMs)).toEqual([missing.userId]);
    expect(Math.round((await read(missing.userId)).seenAgoMs / 10_000), 'seen when the lease was renewed last').toBe(3);
  });

  it('gives connections that closed before a release the rest of their own grace period, and no other one', async () => {
    const released = await startInstance();
    const [left, leaving, back, staying] = newUsers(4).map(connectionOf) as [
      UserConnection,
      UserConnection,
      UserConnection,
      UserConnection,
    ];
    await stores[0].connect(released, [left, leaving, back, staying]);
    const earliest = Date.now();
    await stores[0].releaseLease(released, 10_000, [
      { ...left, agoMs: 8_000 },
      { ...leaving, agoMs: 3_000 },
      { ...back, agoMs: 8_000 },
    ]);
    const latest = Date.now();
    /** Asserts that the user was last seen so long before the release, times that were let pass included. */
    const expectSeen = async (userId: number, agoMs: number) => {
      const { seenAt } = await read(userId);
      expect(seenAt).toBeGreaterThanOrEqual(earliest - agoMs - 1);
      expect(seenAt).toBeLessThanOrEqual(latest - agoMs + 1);
    };
    const fresh = await startInstance(stores[1]);
    await stores[1].connect(fresh, [connectionOf(back.userId)]);
    /** Lets this much time pass after the release. */
    const pass = async (ms: number) => {
      await age(ms, released);
      await database.query("UPDATE chat_connections SET gone_at = gone_at - $1 * interval '1 ms'", [ms]);
    };

    expect(await stores[1].expireLeases(fresh, patienceMs), 'at once').toEqual([]);
    await pass(3_000);
    expect(await stores[1].expireLeases(fresh, patienceMs), 'whose grace is over').toEqual([left.userId]);
    await expectSeen(left.userId, 8_000 + 3_000);
    await pass(5_000);
    expect(await stores[1].expireLeases(fresh, patienceMs)).toEqual([leaving.userId]);
    await expectSeen(leaving.userId, 3_000 + 8_000);
    expect(await read(staying.userId)).toMatchObject({ status: 'ONLINE' });
    await pass(3_000);
    expect(await stores[1].expireLeases(fresh, patienceMs)).toEqual([staying.userId]);
    await expectSeen(staying.userId, 11_000);
    expect(await read(back.userId), 'is elsewhere').toMatchObject({ status: 'ONLINE' });
  });

  it('reports a connection only once when its grace period ends, however many instances notice', async () => {
    const [released, living] = [await startInstance(), await startInstance(stores[1])];
    const gone = newUsers(50).map(connectionOf);
    await stores[0].connect(released, gone);
    await stores[0].releaseLease(
      released,
      10_000,
      gone.map((connection) => ({ ...connection, agoMs: 10_001 })),
    );
    const told = await Promise.all([...stores, ...stores].map((store) => store.expireLeases(living, patienceMs)));
    expect(told.flat().sort(byNumber)).toEqual(gone.map(({ userId }) => userId));
  });

  it('finds the users who share a room, in pairs of all kinds, as a join of the memberships does', async () => {
    const random = useRandom();
    const users = newUsers(60);
    await database.query('INSERT INTO chat_users (id) SELECT unnest($1::int[])', [users]);
    for (let room = 0; room < 40; room += 1) {
      // One user in five is in half of the rooms.
      const members = users.filter((userId) => random.next() < (userId % 5 === 0 ? 0.5 : 0.05));
      await database.query(
        `WITH room AS (INSERT INTO chat_rooms (id, type) VALUES (gen_random_uuid(), 'GROUP') RETURNING id)
         INSERT INTO chat_room_members (room_id, user_id, joined_seq, left_at)
         SELECT r.id, m.user_id, 1, CASE WHEN m.has_left THEN CURRENT_TIMESTAMP END
         FROM room r, unnest($1::int[], $2::boolean[]) AS m(user_id, has_left)`,
        [members, members.map(() => random.next() < 0.3)],
      );
    }
    const known = await database.query<{ pair: string }>(
      `SELECT DISTINCT a.user_id || ' ' || b.user_id AS pair FROM chat_room_members a
       JOIN chat_room_members b ON b.room_id = a.room_id WHERE a.left_at IS NULL AND b.left_at IS NULL`,
    );
    const expected = new Set([...known.map(({ pair }) => pair), ...users.map((userId) => `${userId} ${userId}`)]);
    const asked = Array.from({ length: 2_000 }, () => ({ viewerId: random.pick(users), userId: random.pick(users) }));
    const found = await stores[0].readVisiblePresences([...asked, { viewerId: users[0] as number, userId: 999_999 }]);

    const pairs = new Set(asked.map(({ viewerId, userId }) => `${viewerId} ${userId}`));
    const told = found.map(({ viewerId, userId }) => `${viewerId} ${userId}`);
    expect(told.sort()).toEqual([...pairs].filter((pair) => expected.has(pair)).sort());
    expect(told.length, 'some').toBeGreaterThan(pairs.size / 10);
    expect(told.length, 'and not all').toBeLessThan(pairs.size);
  });

  it('ends no lease for an instance whose own has lapsed', async () => {
    const [old, other] = [await startInstance(), await startInstance()];
    const connection = connectionOf(newUser());
    await stores[0].connect(other, [connection]);
    await age(2 * leaseMs);

    expect(await stores[1].expireLeases(old, patienceMs)).toEqual([]);
    expect(await stores[1].holdLease(old, leaseMs), 'its row is still there').toBe(true);
    expect(await stores[1].expireLeases(old, patienceMs), 'nor right after it is held again').toEqual([]);
    expect(await read(connection.userId)).toMatchObject({ status: 'ONLINE' });
  });

  it('ends no lease for an instance that could not renew its own for 25 s: the others could not either', async () => {
    // PostgreSQL is away for 25 s: just after the first lease is renewed, and shortly before the second is due.
    const [first, second] = [await startInstance(), await startInstance()];
    const connection = connectionOf(newUser());
    await stores[1].connect(second, [connection]);
    await age(60_000, first);
    await stores[0].holdLease(first, leaseMs);
    await database.query("UPDATE chat_instances SET held_since = held_since - interval '60 s' WHERE id = $1", [first]);
    await age(9_000, second);
    await age(25_000);

    expect(await stores[0].expireLeases(first, patienceMs), 'sent before, and arrived behind it').toEqual([]);
    await stores[0].holdLease(first, leaseMs);
    expect(await stores[0].expireLeases(first, patienceMs)).toEqual([]);
    expect(await stores[1].holdLease(second, leaseMs)).toBe(true);
    expect(await read(connection.userId)).toMatchObject({ status: 'ONLINE' });
  });

  it('lets a connection on a living instance outlast the end of another instance', async () => {
    const [living, dead] = [await startInstance(), await startInstance()];
    await age(60_000);
    await stores[0].holdLease(living, leaseMs);
    await age(patienceMs + 100, living);
    await stores[0].holdLease(living, leaseMs);
    const userId = newUser();
    const [phone, browser] = [connectionOf(userId), connectionOf(userId)];
    await stores[0].connect(living, [phone]);
    await stores[0].connect(dead, [browser]);

    expect(await stores[0].expireLeases(living, patienceMs)).toEqual([]);
    expect(await countConnections(userId)).toBe(1);
    expect(await read(userId)).toMatchObject({ status: 'ONLINE' });
    await stores[0].disconnect([{ ...phone, agoMs: 0 }]);
  });

  it('sets the last-seen time to the end of the connection that closed last, whichever is reported last', async () => {
    const instance = await startInstance();
    const userId = newUser();
    const [phone, browser] = [connectionOf(userId), connectionOf(userId)];
    await stores[0].connect(instance, [phone, browser]);

    await stores[0].disconnect([{ ...browser, agoMs: 60_000 }]);
    await stores[1].disconnect([{ ...phone, agoMs: 3_600_000 }]);

    expect(await read(userId)).toMatchObject({ status: 'OFFLINE' });
    expect((await read(userId)).seenAgoMs).toBeLessThan(1_800_000);
  });

  it('never moves the last-seen time of a user back', async () => {
    const instance = await startInstance();
    const userId = newUser();
    const goAfter = async (agoMs: number) => {
      const connection = connectionOf(userId);
      await stores[0].connect(instance, [connection]);
      await stores[0].disconnect([{ ...connection, agoMs }]);
      return read(userId);
    };

    const { seenAt } = await goAfter(60_000);
    expect((await goAfter(3_600_000)).seenAt).toBe(seenAt);
    expect((await goAfter(0)).seenAt).toBeGreaterThan(seenAt);
  });

  it('reports no user as offline for a connection that the database has forgotten, until the patience is over', async () => {
    const instance = await startInstance();
    const [both, alone] = newUsers(2) as [number, number];
    const [phone, browser] = [connectionOf(both), connectionOf(both)];
    await stores[0].connect(instance, [phone, browser, connectionOf(alone)]);
    await forgetConnections();

    expect(await stores[0].disconnect([{ ...phone, agoMs: 10_000 }]), 'the browser is still to be told').toEqual([]);
    await stores[0].holdLease(instance, leaseMs);
    await stores[0].connect(instance, [browser]);
    expect(await stores[0].expireUsers(patienceMs), 'within the patience').toEqual([]);
    await database.query(`UPDATE chat_users SET online_since = online_since - interval '11 s'`);
    expect(await stores[1].expireUsers(patienceMs)).toContain(alone);
    expect(await read(alone)).toMatchObject({ status: 'OFFLINE' });
    expect(await read(both)).toMatchObject({ status: 'ONLINE' });
  });

  it("ends forgotten users who came before the database's clock was set back", async () => {
    const instance = await startInstance();
    const [ahead, fresh] = newUsers(2) as [number, number];
    await stores[0].connect(instance, [connectionOf(ahead), connectionOf(fresh)]);
    await forgetConnections();
    await database.query("UPDATE chat_users SET online_since = online_since + interval '5 min' WHERE id = $1", [ahead]);

    expect(await stores[1].expireUsers(patienceMs)).toEqual([ahead]);
    expect(await read(ahead)).toMatchObject({ status: 'OFFLINE' });
    expect((await read(ahead)).seenAgoMs, 'not seen in the future').toBeGreaterThanOrEqual(-1);
    expect(await read(fresh)).toMatchObject({ status: 'ONLINE' });
  });

  it("ends leases that were held before the database's clock was set back, and leaves time to living instances", async () => {
    const [living, other, dead, released] = [
      await startInstance(),
      await startInstance(),
      await startInstance(),
      await startInstance(),
    ];
    const [here, missing, left] = [connectionOf(newUser()), connectionOf(newUser()), connectionOf(newUser())];
    await stores[0].connect(other, [here]);
    await stores[0].connect(dead, [missing]);
    await stores[0].connect(released, [left, { ...connectionOf(left.userId) }]);
    await stores[0].releaseLease(released, 10_000, [{ ...left, agoMs: 1_000 }]);
    await age(-3_600_000);
    await database.query("UPDATE chat_connections SET gone_at = gone_at + interval '1 hour'");
    const expire = () => stores[1].expireLeases(living, patienceMs);
    const pass = async (ms: number) => {
      await age(ms);
      await stores[0].holdLease(living, leaseMs);
    };

    expect(await expire(), 'none has run out yet').toEqual([]);
    await pass(10_100);
    expect(await expire(), 'a grace later').toEqual([left.userId]);
    expect(await stores[0].holdLease(other, leaseMs), 'in time').toBe(true);
    await pass(10_000);
    expect(await expire()).toEqual([]);
    await pass(10_000);
    expect(await expire(), 'a lease later').toEqual([missing.userId]);
    expect(await read(missing.userId)).toMatchObject({ status: 'OFFLINE' });
    expect(await read(here.userId)).toMatchObject({ status: 'ONLINE' });
  });

  it("trusts an instance again when the patience is over after its renewal behind the clock's step back", async () => {
    const [living, dead] = [await startInstance(), await startInstance()];
    const missing = connectionOf(newUser());
    await stores[0].connect(dead, [missing]);
    await age(-3_600_000, living);
    await age(leaseMs + 1_000, dead);

    await stores[0].holdLease(living, leaseMs);
    expect(await stores[0].expireLeases(living, patienceMs)).toEqual([]);
    await age(patienceMs + 100, living);
    expect(await stores[0].expireLeases(living, patienceMs)).toEqual([missing.userId]);
  });

  it('sets the last-seen time to the end of a connection, even if it was in the future before', async () => {
    const instance = await startInstance();
    const connection = connectionOf(newUser());
    await stores[0].connect(instance, [connection]);
    await database.query("UPDATE chat_users SET last_seen_at = now() + interval '1 hour' WHERE id = $1", [
      connection.userId,
    ]);
    await stores[0].disconnect([{ ...connection, agoMs: 600_000 }]);
    expect(Math.round((await read(connection.userId)).seenAgoMs / 600_000)).toBe(1);
  });

  it('keeps a user online who comes back at the moment when forgotten users are ended', async () => {
    const instance = await startInstance();
    for (let round = 0; round < 100; round += 1) {
      const connection = connectionOf(newUser());
      await database.query(
        `INSERT INTO chat_users (id, online_since) VALUES ($1, CURRENT_TIMESTAMP - interval '1 min')`,
        [connection.userId],
      );
      const [online, offline] = await Promise.all([
        stores[0].connect(instance, [connection]),
        stores[1].expireUsers(patienceMs),
      ]);
      expect(await read(connection.userId)).toMatchObject({ status: 'ONLINE' });
      // A user who was reported offline first was reported online after that.
      if (offline.includes(connection.userId)) expect(online).toEqual([connection.userId]);
    }
  });
});

const byNumber = (a: number, b: number) => a - b;

function shuffle<T>(values: readonly T[], random: Random): T[] {
  return values
    .map((value) => ({ value, place: random.next() }))
    .sort((a, b) => a.place - b.place)
    .map(({ value }) => value);
}
