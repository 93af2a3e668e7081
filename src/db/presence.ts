import type { Presence, PresenceStore, ViewedUser } from '../domain/presence.js';
import type { View } from './batch.js';
import type { Connection } from './connection.js';
import type { Database } from './database.js';
import { withVisibleUsers } from './visible-users.js';

/** The presence that all instances share; see prisma/functions for the rules. */
export const createPresenceStore = (db: Database): PresenceStore => {
  const { upkeep } = db;
  return {
    holdLease: async (instanceId, leaseMs) => {
      const [row] = await upkeep.query<{ held: boolean }>`
        SELECT chat_hold_lease(${instanceId}::uuid, ${leaseMs}::int) AS held`;
      return row?.held === true;
    },
    connect: async (instanceId, connections) => {
      const rows = await upkeep.query<{ outcome: 'OK' | 'LOST'; user_id: number }>`
        SELECT c.outcome, c.user_id FROM chat_connect(
          ${instanceId}::uuid, ${connections.map(({ id }) => id)}::uuid[],
          ${connections.map(({ userId }) => userId)}::int[]) AS c`;
      return rows[0]?.outcome === 'LOST' ? null : rows.map(({ user_id }) => user_id);
    },
    disconnect: async (closed) =>
      toIds(
        await upkeep.query`
          SELECT chat_disconnect(
            ${closed.map(({ id }) => id)}::uuid[], ${closed.map(({ userId }) => userId)}::int[],
            ${closed.map(({ agoMs }) => Math.round(agoMs))}::int[]) AS id`,
      ),
    releaseLease: async (instanceId, graceMs, closed) => {
      await upkeep.query`
        SELECT chat_release_lease(${instanceId}::uuid, ${graceMs}::int,
          ${closed.map(({ id }) => id)}::uuid[], ${closed.map(({ agoMs }) => Math.round(agoMs))}::int[])`;
    },
    expireLeases: async (instanceId, patienceMs) =>
      toIds(await upkeep.query`SELECT chat_expire_leases(${instanceId}::uuid, ${patienceMs}::int) AS id`),
    expireUsers: async (patienceMs) => toIds(await upkeep.query`SELECT chat_expire_users(${patienceMs}::int) AS id`),
    readPresences: async (userIds) => {
      const rows = await db.reads.query<PresenceRow>`
        SELECT u.id, u.online_since, u.last_seen_at FROM chat_users u WHERE u.id = ANY(${userIds}::int[])`;
      return rows.map(toPresence);
    },
    readVisiblePresences: (asked) => db.replay((connection) => findVisiblePresences(connection, asked)),
  };
};

/** Finds the presence of each user that the viewer may see: they share a room in which the user is confirmed. */
export async function findPresences(
  { reads }: Database,
  asked: readonly ViewedUser[],
): Promise<View<ViewedUser, Presence>> {
  const found = new Map(
    (await findVisiblePresences(reads, asked)).map((presence) => [`${presence.viewerId} ${presence.userId}`, presence]),
  );
  return ({ viewerId, userId }) => found.get(`${viewerId} ${userId}`);
}

async function findVisiblePresences(connection: Connection, asked: readonly ViewedUser[]) {
  const rows = await connection.query<PresenceRow & { viewer_id: number }>`
    ${withVisibleUsers(asked)}
    SELECT v.viewer_id, u.id, u.online_since, u.last_seen_at
    FROM visible v JOIN chat_users u ON u.id = v.user_id`;
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
