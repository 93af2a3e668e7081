import pg from 'pg';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import type { TestClient } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import { renameRoom, whoAmI } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { postOperation } from '../support/wire.js';
import { useWorld } from '../support/world.js';

const changeMs = 500;
const mostOfOneUser = 4;
/** Connections for changes. */
const connections = 8;
/**
 * A change may wait for one that is running on each connection, and as many are done while it runs; the rest is slack. Behind
 * those who wait already, there would be a hundred.
 */
const maxDoneMeanwhile = 4 * connections;
const roomCount = 300;

describeWithNats('with a slow database, one user', () => {
  const world = useWorld({ instances: 1 });
  let floods: TestClient[];
  let other: TestClient;
  let roomsOf: string[][];
  let own: string;
  let shared: string;
  let newUser = 1_000;
  let invited = 0;

  beforeAll(async () => {
    floods = await Promise.all([4, 5, 6].map((userId) => world.client(userId)));
    other = await world.client(7);
    own = await other.group(8);
    shared = await other.group(4);
    // Make their names known before they all send at once.
    for (const flood of floods) await flood.http(whoAmI, {});
    roomsOf = await Promise.all(floods.map(({ userId }) => makeRooms(userId)));
    await world.database.query(`
      CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM pg_sleep(${changeMs / 1_000});
        RETURN NEW;
      END $$`);
    await world.database.query(`
      CREATE TRIGGER be_slow BEFORE INSERT ON chat_messages
      FOR EACH ROW WHEN (NEW.type = 'SYSTEM') EXECUTE FUNCTION be_slow()`);
  });

  it('gets only a part of the connections, and the changes and sends of others are not delayed', async () => {
    const [flood] = floods as [TestClient];
    const invitations = inviteToAll(flood, roomsOf[0] ?? []);
    await waitFor(async () => (await countSlow()) >= mostOfOneUser, { what: 'the first invitations' });
    const slow: number[] = [];
    const done: number[] = [];
    for (let round = 0; round < 12; round += 1) {
      slow.push(await countSlow());
      done.push(await countDoneDuring(() => rename(other, own, `${round}`)));
      done.push(await countDoneDuring(() => other.send(own, `${round}`)));
    }
    expect(Math.max(...done)).toBeLessThan(maxDoneMeanwhile);
    expect(Math.max(...slow)).toBe(mostOfOneUser);

    const codes = await invitations;
    expect(codes.filter((code) => code === 'OK').length).toBeGreaterThan(50);
    // The user may retry after these codes.
    expect(new Set([...codes, 'OK', 'RATE_LIMITED', 'UNAVAILABLE']).size).toBe(3);
  });

  it('takes turns with others if together they occupy all connections', async () => {
    const invitations = floods.map((client, index) => inviteToAll(client, roomsOf[index] ?? []));
    await waitFor(async () => (await countSlow()) > mostOfOneUser, { what: 'several users at all connections' });
    const done: number[] = [];
    for (let round = 0; round < 12; round += 1) {
      done.push(await countDoneDuring(() => rename(other, own, `again ${round}`)));
      done.push(await countDoneDuring(() => other.send(own, `again ${round}`)));
    }
    expect(Math.max(...done)).toBeLessThan(maxDoneMeanwhile);
    await Promise.all(invitations);
  });

  it('takes turns with others in a shared room as well', async () => {
    const [flood] = floods as [TestClient];
    const invitations = inviteToAll(
      flood,
      Array.from({ length: 60 }, () => shared),
    );
    await waitFor(async () => (await countSlow()) > 0, { what: 'the first invitation' });
    for (let round = 0; round < 3; round += 1) {
      // Changes of one room come one after the other.
      expect(await countDoneDuring(() => rename(other, shared, `${round}`))).toBeLessThanOrEqual(4);
      expect(await countDoneDuring(() => other.send(shared, `${round}`))).toBeLessThanOrEqual(4);
    }
    await invitations;
  });

  it('gets only a part of the connections for the reads before its changes as well', async () => {
    const [flood] = floods as [TestClient];
    const holder = new pg.Client({ connectionString: world.database.url });
    await holder.connect();
    onTestFinished(() => holder.end());
    await holder.query('BEGIN; LOCK TABLE chat_users IN ACCESS EXCLUSIVE MODE');
    const invitations = inviteToAll(flood, (roomsOf[0] ?? []).slice(0, 40));
    await waitFor(async () => (await countLocked()) >= mostOfOneUser, { what: 'the first invitations' });
    const counts: number[] = [];
    const until = performance.now() + 1_500;
    while (performance.now() < until) counts.push(await countLocked());
    await holder.query('ROLLBACK');
    await invitations;
    expect(Math.max(...counts)).toBe(mostOfOneUser);
  });

  /** GROUP rooms with one member. */
  async function makeRooms(userId: number): Promise<string[]> {
    const rooms = await world.database.query<{ id: string }>(
      `INSERT INTO chat_rooms (id, type, name, seq, published_seq)
       SELECT gen_random_uuid(), 'GROUP', 'room ' || n, 1, 1 FROM generate_series(1, ${roomCount}) n RETURNING id`,
    );
    const ids = rooms.map(({ id }) => id);
    await world.database.query(
      `INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content, system)
       SELECT gen_random_uuid(), r, 1, 1, $2, 'somebody', 'SYSTEM', 'made',
         json_build_object('code', 'ROOM_CREATED', 'userIds', json_build_array($2::int))
       FROM unnest($1::uuid[]) r`,
      [ids, userId],
    );
    await world.database.query(
      `INSERT INTO chat_room_members (room_id, user_id, joined_seq, last_read_seq, last_read_at)
       SELECT r, $2, 1, 1, now() FROM unnest($1::uuid[]) r`,
      [ids, userId],
    );
    return ids;
  }

  /** Invites a new user to each room, so that each is a change. Resolves with the codes of the answers. */
  const inviteToAll = ({ token }: TestClient, roomIds: readonly string[]): Promise<string[]> =>
    Promise.all(
      roomIds.map(async (roomId) => {
        const query = `mutation {
          inviteMembers(input: { roomId: "${roomId}", userIds: ["${newUser++}"] }) { room { id } }
        }`;
        const { errors } = await postOperation(
          world.instances[0] as Instance,
          { query },
          { authorization: `Bearer ${token}` },
        );
        if (errors === undefined) invited += 1;
        return String(errors?.[0]?.extensions.code ?? 'OK');
      }),
    );

  const rename = (client: TestClient, roomId: string, name: string) =>
    client.http(renameRoom, { input: { roomId, name } });

  /** The number of invitations that were answered before the work was. */
  async function countDoneDuring(work: () => Promise<unknown>): Promise<number> {
    const before = invited;
    await work();
    return invited - before;
  }

  /** The number of changes that are running in the database. */
  const countSlow = () => count(`wait_event = 'PgSleep'`);
  const countLocked = () => count(`wait_event_type = 'Lock' AND query LIKE '%chat_users%'`);

  async function count(condition: string): Promise<number> {
    const [row] = await world.database.query<{ count: number }>(
      `SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND ${condition}`,
    );
    return row?.count ?? 0;
  }
});
