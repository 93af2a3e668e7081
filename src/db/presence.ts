import type { Acquaintance, Presence, PresenceStore } from '../domain/presence.js';
import type { View } from './batch.js';
import type { Connection } from './connection.js';
import type { Database } from './database.js';

/** Presence as the instances keep it together; see prisma/migrations for the rules. */
export const createPresenceStore = (db: Database): PresenceStore => {
  const { upkeep } = db;
  return {
    holdLease: async (instanceId, leaseMs) => {
      const [row] = await upkeep.query<{ held: boolean }>`
        SELECT chat_hold_lease(${instanceId}::uuid, ${leaseMs}::int) AS held`;
      return row?.held === true;
    },
    connect: async (instanceId, devices) => {
      const rows = await upkeep.query<{ outcome: 'OK' | 'LOST'; user_id: number }>`
        SELECT c.outcome, c.user_id FROM chat_connect(
          ${instanceId}::uuid, ${devices.map(({ id }) => id)}::uuid[], ${devices.map(({ userId }) => userId)}::int[]) AS c`;
      return rows[0]?.outcome === 'LOST' ? null : rows.map(({ user_id }) => user_id);
    },
    disconnect: async (gone) =>
      toIds(
        await upkeep.query`
          SELECT chat_disconnect(
            ${gone.map(({ id }) => id)}::uuid[], ${gone.map(({ userId }) => userId)}::int[],
            ${gone.map(({ agoMs }) => Math.round(agoMs))}::int[]) AS id`,
      ),
    releaseLease: async (instanceId, graceMs, gone) => {
      await upkeep.query`
        SELECT chat_release_lease(${instanceId}::uuid, ${graceMs}::int,
          ${gone.map(({ id }) => id)}::uuid[], ${gone.map(({ agoMs }) => Math.round(agoMs))}::int[])`;
    },
    expireLeases: async (instanceId, patienceMs) =>
      toIds(await upkeep.query`SELECT chat_expire_leases(${instanceId}::uuid, ${patienceMs}::int) AS id`),
    expireUsers: async (patienceMs) => toIds(await upkeep.query`SELECT chat_expire_users(${patienceMs}::int) AS id`),
    readPresences: async (userIds) => {
      const rows = await db.reads.query<PresenceRow>`
        SELECT u.id, u.online_since, u.last_seen_at FROM chat_users u WHERE u.id = ANY(${userIds}::int[])`;
      return rows.map(toPresence);
    },
    readAcquaintances: (asked) => db.replay((connection) => findAcquaintances(connection, asked)),
  };
};

/** What each viewer may know of each user: nothing of one with whom they share no room in which the user is shown. */
export async function findPresences(
  { reads }: Database,
  asked: readonly Acquaintance[],
): Promise<View<Acquaintance, Presence>> {
  const found = new Map(
    (await findAcquaintances(reads, asked)).map((presence) => [`${presence.viewerId} ${presence.userId}`, presence]),
  );
  return ({ viewerId, userId }) => found.get(`${viewerId} ${userId}`);
}

/**
 * The rooms of each are looked up once, however many pairs they are in. Of a pair only the rooms of the one with fewer
 * are gone through: somebody may be in thousands.
 */
async function findAcquaintances(connection: Connection, asked: readonly Acquaintance[]) {
  const viewerIds = asked.map(({ viewerId }) => viewerId);
  const userIds = asked.map(({ userId }) => userId);
  const rows = await connection.query<PresenceRow & { viewer_id: number }>`
    WITH asked AS MATERIALIZED (
      SELECT DISTINCT a.viewer_id, a.user_id FROM unnest(${viewerIds}::int[], ${userIds}::int[]) AS a(viewer_id, user_id)
    ), mine AS MATERIALIZED (
      SELECT m.user_id, m.room_id FROM chat_room_members m
      WHERE m.user_id = ANY(${[...new Set(viewerIds)]}::int[]) AND m.left_at IS NULL
    ), theirs AS MATERIALIZED (
      SELECT m.user_id, m.room_id FROM chat_room_members m
      WHERE m.user_id = ANY(${[...new Set(userIds)]}::int[]) AND m.left_at IS NULL AND m.is_confirmed
    ), pairs AS MATERIALIZED (
      SELECT a.viewer_id, a.user_id, v.rooms < u.rooms AS by_viewer FROM asked a
      JOIN (SELECT user_id, count(*) AS rooms FROM mine GROUP BY 1) v ON v.user_id = a.viewer_id
      JOIN (SELECT user_id, count(*) AS rooms FROM theirs GROUP BY 1) u ON u.user_id = a.user_id
    ), candidates AS MATERIALIZED (
      SELECT p.viewer_id, p.user_id, mine.room_id FROM pairs p JOIN mine ON mine.user_id = p.viewer_id WHERE p.by_viewer
      UNION ALL
      SELECT p.viewer_id, p.user_id, theirs.room_id FROM pairs p JOIN theirs ON theirs.user_id = p.user_id
      WHERE NOT p.by_viewer
    ), acquainted AS (
      SELECT a.viewer_id, a.user_id FROM asked a WHERE a.viewer_id = a.user_id
      UNION
      SELECT c.viewer_id, c.user_id FROM candidates c
      JOIN mine ON mine.user_id = c.viewer_id AND mine.room_id = c.room_id
      JOIN theirs ON theirs.user_id = c.user_id AND theirs.room_id = c.room_id
    )
    SELECT a.viewer_id, u.id, u.online_since, u.last_seen_at
    FROM acquainted a JOIN chat_users u ON u.id = a.user_id`;
  return rows.map((row) => ({ viewerId: row.viewer_id, ...toPresence(row) }));
}

interface PresenceRow {
  readonly id: number;
  readonly online_since: Date | null;
  readonly last_seen_at: Date | null;
}

const toPresence = ({ id, online_since, last_seen_at }: PresenceRow): Presence =>
  online_since === null
    ? { userId: id, status: 'OFFLINE', lastSeenAt: last_seen_at }
    : { userId: id, status: 'ONLINE', lastSeenAt: null };

const toIds = (rows: unknown): number[] => (rows as { readonly id: number }[]).map(({ id }) => id);
