import type { MarkMove } from '../domain/room-log.js';
import type { Database } from './database.js';
import { isUncertain, LockedError } from './database-errors.js';
import { Prisma } from './generated/prisma/client.js';
import { GroupCommit } from './group-commit.js';
import { type MemberRow, memberRow } from './member-row.js';
import type { Outcome, Writer } from './room-log.js';
import { type RoomJson, roomRow } from './room-row.js';
import type { Room } from './rooms.js';

/** A message up to which a member has read a room. */
export interface ReadMark {
  readonly roomId: string;
  readonly userId: number;
  readonly messageId: string;
  /** Whether the answer's room has the unread count after the mark; false by default. */
  readonly isCounted?: boolean;
  /** Called when the mark waits for a lock of others. */
  readonly onHeldUp?: (() => void) | undefined;
}

/** The room and the membership right after the mark; null if there is no such membership. */
export interface MarkWrite {
  readonly outcome: Outcome;
  readonly member: MarkMove | null;
  readonly room: Room | null;
}

/**
 * Moves the member's read mark forward to the message, in one commit with other marks of this moment; UNCHANGED if it was
 * there or further already.
 */
export function markRead(db: Database, mark: ReadMark): Promise<MarkWrite> {
  let commit = commits.get(db);
  if (commit === undefined) {
    commit = new GroupCommit<ReadMark, MarkWrite>({
      atOnce: { one: (only) => writeMark(db, only), many: (marks) => writeMarks(db, marks) },
      patiently: { one: (only) => waitAndMark(db, only), many: (marks) => waitAndMarkAll(db, marks) },
      queueOf: thingOf,
      isLocked: (error) => error instanceof LockedError,
      isUncertain,
    });
    commits.set(db, commit);
  }
  return commit.submit(mark);
}

const commits = new WeakMap<Database, GroupCommit<ReadMark, MarkWrite>>();

/** What a mark changes and locks: the membership. */
const thingOf = ({ roomId, userId }: ReadMark): string => `mark ${roomId} ${userId}`;

/** Waits for the lock of the member's row. */
function waitAndMark({ changes }: Database, mark: ReadMark): Promise<MarkWrite> {
  mark.onHeldUp?.();
  return changes.wait(thingOf(mark), (writes) => writeMark({ writes }, mark));
}

/** The same for several marks of one member, one after the other; after a failure, the others fail with it. */
async function waitAndMarkAll(db: Database, marks: readonly ReadMark[]): Promise<(MarkWrite | Error)[]> {
  for (const { onHeldUp } of marks) onHeldUp?.();
  const answers: (MarkWrite | Error)[] = [];
  let failure: Error | undefined;
  for (const mark of marks) {
    const answer = failure ?? (await waitAndMark(db, mark).catch((error: Error) => error));
    if (answer instanceof Error) failure = answer;
    answers.push(answer);
  }
  return answers;
}

type MarkRow = { room: RoomJson; unread: number | null; previousSeq: number | null } & (MemberRow | { id: null });

/** The room and the membership of an answer `w`. */
const columns = Prisma.sql`
  w.unread, w.previous AS "previousSeq", ${memberRow.select('(w.member)')}, json_build_array(${roomRow.values('(w.room)')}) AS room`;

async function writeMark({ writes }: Writer, { roomId, userId, messageId, isCounted }: ReadMark): Promise<MarkWrite> {
  const [row] = await writes.query<MarkRow & { outcome: Outcome }>`
    SELECT w.outcome, ${columns}
    FROM chat_move_mark(${roomId}::uuid, ${userId}::int, ${messageId}::uuid, ${isCounted ?? false}::boolean) AS w`;
  if (row === undefined) throw new Error('chat_move_mark answered nothing');
  return toMarkWrite(row.outcome, row);
}

/** Resolves with the result of each mark, or with an error for marks of locked members. */
async function writeMarks({ writes }: Writer, marks: readonly ReadMark[]): Promise<(MarkWrite | LockedError)[]> {
  const column = <Name extends keyof ReadMark>(name: Name) => marks.map((mark) => mark[name]);
  const areCounted = marks.map(({ isCounted }) => isCounted ?? false);
  const rows = await writes.query<MarkRow & { outcome: Outcome | 'LOCKED' }>`
    SELECT w.outcome, ${columns}
    FROM chat_mark_reads(
      ${column('roomId')}::uuid[], ${column('userId')}::int[], ${column('messageId')}::uuid[], ${areCounted}::boolean[]) AS w
    ORDER BY w.place`;
  return rows.map((row) => (row.outcome === 'LOCKED' ? new LockedError() : toMarkWrite(row.outcome, row)));
}

function toMarkWrite(outcome: Outcome, row: MarkRow): MarkWrite {
  if (row.id === null) return { outcome, member: null, room: null };
  const viewerMember = memberRow.decode(row);
  const preloaded = row.unread === null ? { viewerMember } : { viewerMember, unreadCount: row.unread };
  return {
    outcome,
    member: { ...viewerMember, previousSeq: row.previousSeq },
    room: { ...roomRow.decodeJson(row.room, {}), preloaded },
  };
}
