import type { ViewedUser } from '../domain/presence.js';
import { Prisma } from './generated/prisma/client.js';
import { isPresent } from './membership.js';

/**
 * The beginning of a query: `visible` has the pairs in which the viewer may see the user, who is the viewer or is confirmed
 * in a room of both. Reads the rooms of each user once for all pairs. Goes through the rooms of the one with fewer,
 * because a user may be in thousands.
 */
export function withVisibleUsers(asked: readonly ViewedUser[]): Prisma.Sql {
  const viewerIds = asked.map(({ viewerId }) => viewerId);
  const userIds = asked.map(({ userId }) => userId);
  return Prisma.sql`
  WITH asked AS MATERIALIZED (
    SELECT DISTINCT a.viewer_id, a.user_id FROM unnest(${viewerIds}::int[], ${userIds}::int[]) AS a(viewer_id, user_id)
  ), mine AS MATERIALIZED (
    SELECT m.user_id, m.room_id FROM chat_room_members m
    WHERE m.user_id = ANY(${[...new Set(viewerIds)]}::int[]) AND ${isPresent('m')}
  ), theirs AS MATERIALIZED (
    SELECT m.user_id, m.room_id FROM chat_room_members m
    WHERE m.user_id = ANY(${[...new Set(userIds)]}::int[]) AND ${isPresent('m')} AND m.is_confirmed
  ), pairs AS MATERIALIZED (
    SELECT a.viewer_id, a.user_id, v.rooms < u.rooms AS by_viewer FROM asked a
    JOIN (SELECT user_id, count(*) AS rooms FROM mine GROUP BY 1) v ON v.user_id = a.viewer_id
    JOIN (SELECT user_id, count(*) AS rooms FROM theirs GROUP BY 1) u ON u.user_id = a.user_id
  ), candidates AS MATERIALIZED (
    SELECT p.viewer_id, p.user_id, mine.room_id FROM pairs p JOIN mine ON mine.user_id = p.viewer_id WHERE p.by_viewer
    UNION ALL
    SELECT p.viewer_id, p.user_id, theirs.room_id FROM pairs p JOIN theirs ON theirs.user_id = p.user_id
    WHERE NOT p.by_viewer
  ), visible AS (
    SELECT a.viewer_id, a.user_id FROM asked a WHERE a.viewer_id = a.user_id
    UNION
    SELECT c.viewer_id, c.user_id FROM candidates c
    JOIN mine ON mine.user_id = c.viewer_id AND mine.room_id = c.room_id
    JOIN theirs ON theirs.user_id = c.user_id AND theirs.room_id = c.room_id
  )`;
}
