import type { MemberPageFragment } from '../operations/generated/documents.js';
import type { Message } from './log.js';

/** How far a member has read. */
export interface Mark {
  readonly joinedSeq: number;
  readonly lastReadSeq: number;
}

/** The mark of a member after it has moved. */
export interface MovedMark extends Mark {
  readonly user: { readonly id: string };
}

/** The read marks of a room's members by their user, and whether they are all of them. */
export interface Marks {
  readonly byUser: ReadonlyMap<string, Mark>;
  readonly areComplete: boolean;
}

export const noMarks: Marks = { byUser: new Map(), areComplete: false };

export const readMarks = ({ edges, pageInfo }: MemberPageFragment): Marks => ({
  byUser: new Map(edges.map(({ node }) => [node.user.id, node])),
  areComplete: !pageInfo.hasNextPage,
});

/** The marks after some of them have moved. Members who are not known here are left out. */
export function moveMarks(marks: Marks, moved: readonly MovedMark[]): Marks {
  const byUser = new Map(marks.byUser);
  for (const { user, joinedSeq, lastReadSeq } of moved) {
    const before = byUser.get(user.id);
    if (before === undefined) continue;
    byUser.set(user.id, { joinedSeq, lastReadSeq: Math.max(before.lastReadSeq, lastReadSeq) });
  }
  return { ...marks, byUser };
}

/**
 * How many members have not read the message; its author and those who joined after it do not count. In a room with more
 * members than are known here, the number that came with the message; null if none came.
 */
export function countUnread(marks: Marks, message: Omit<Message, 'cursor' | 'attachments'>): number | null {
  if (!marks.areComplete) return message.unreadMemberCount ?? null;
  let count = 0;
  for (const [userId, { joinedSeq, lastReadSeq }] of marks.byUser) {
    if (userId !== message.sender.id && joinedSeq < message.seq && lastReadSeq < message.seq) count += 1;
  }
  return count;
}
