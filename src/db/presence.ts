import type { Acquaintance, Presence, PresenceStore } from '../domain/presence.js';
import type { Database } from './database.js';
import type { PrismaClient } from './generated/prisma/client.js';
import type { View } from './room-views.js';

/** Presence as the instances keep it together; see prisma/migrations for the rules. */
export const createPresenceStore = (db: Database): PresenceStore => {
  const { writes } = db;
  return {
    holdLease: async (instanceId, leaseMs) => {
      const [row] = await writes.$queryRaw<{ held: boolean }[]>`
        SELECT chat_hold_lease(${instanceId}::uuid, ${leaseMs}::int) AS held`;
      return row?.held === true;
    },
    connect: async (instanceId, devices) => {
      const rows = await writes.$queryRaw<{ outcome: 'OK' | 'LOST'; user_id: number }[]>`
        SELECT c.outcome, c.user_id FROM chat_connect(
          ${instanceId}::uuid, ${devices.map(({ id }) => id)}::uuid[], ${devices.map(({ userId }) => userId)}::int[]) AS c`;
      return rows[0]?.outcome === 'LOST' ? null : rows.map(({ user_id }) => user_id);
    },
    disconnect: async (devices) =>
      toIds(
        await writes.$queryRaw`
          SELECT chat_disconnect(
            ${devices.map(({ id }) => id)}::uuid[], ${devices.map(({ userId }) => userId)}::int[],
            ${devices.map(({ agoMs }) => Math.round(agoMs))}::int[]) AS id`,
      ),
    releaseLease: async (instanceId, graceMs) => {
      await writes.$executeRaw`SELECT chat_release_lease(${instanceId}::uuid, ${graceMs}::int)`;
    },
    expireLeases: async (instanceId, patienceMs) =>
      toIds(await writes.$queryRaw`SELECT chat_expire_leases(${instanceId}::uuid, ${patienceMs}::int) AS id`),
    expireUsers: async (patienceMs) =>
      toIds(await writes.$queryRaw`SELECT chat_expire_users(${patienceMs}::int) AS id`),
    readPresences: async (userIds) => {
      const rows = await writes.$queryRaw<PresenceRow[]>`
        SELECT u.id, u.online_since, u.last_seen_at FROM chat_users u WHERE u.id = ANY(${userIds}::int[])`;
      return rows.map(toPresence);
    },
    readAcquaintances: (asked) => db.replay((prisma) => findAcquaintances(prisma, asked)),
  };
};

/** What each viewer may know of each user: nothing of one with whom they share no room. */
export async function findPresences(
  { reads }: Database,
  asked: readonly Acquaintance[],
): Promise<View<Acquaintance, Presence>> {
  const found = new Map(
    (await findAcquaintances(reads, asked)).map((presence) => [`${presence.viewerId} ${presence.userId}`, presence]),
  );
  return ({ viewerId, userId }) => found.get(`${viewerId} ${userId}`);
}

async function findAcquaintances(prisma: PrismaClient, asked: readonly Acquaintance[]) {
  const rows = await prisma.$queryRaw<(PresenceRow & { viewer_id: number })[]>`
    SELECT a.viewer_id, u.id, u.online_since, u.last_seen_at
    FROM unnest(${asked.map(({ viewerId }) => viewerId)}::int[], ${asked.map(({ userId }) => userId)}::int[])
      AS a(viewer_id, user_id) JOIN chat_users u ON u.id = a.user_id
    WHERE a.viewer_id = a.user_id OR EXISTS (
      SELECT FROM chat_room_members theirs JOIN chat_room_members mine ON mine.room_id = theirs.room_id
      WHERE theirs.user_id = a.user_id AND theirs.left_at IS NULL
        AND mine.user_id = a.viewer_id AND mine.left_at IS NULL)`;
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
