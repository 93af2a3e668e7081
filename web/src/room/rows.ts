import type { TimelineMessage } from '@fairway/client';
import { dayOf } from '../words/dates.js';

/** A message as it is drawn: with what stands above it, and which parts of it its neighbours show already. */
export interface Row {
  readonly message: TimelineMessage;
  /** The day that begins with this message. It is part of the row: a row of its own would move the others when older ones come. */
  readonly opensDay: boolean;
  /** Whether the line "unread from here" stands above it. */
  readonly opensUnread: boolean;
  readonly isOwn: boolean;
  /** The first of a group: with the name and the face. */
  readonly opensGroup: boolean;
  /** The last one of its author and minute: with the time. */
  readonly showsTime: boolean;
}

interface Input {
  readonly messages: readonly TimelineMessage[];
  readonly viewerId: string | undefined;
  readonly firstUnreadId: string | null | undefined;
  readonly hasOlder: boolean;
}

/** Messages of one author that follow each other within this time are drawn as one group. */
const groupMs = 300_000;

interface Moment {
  readonly ms: number;
  readonly minute: number;
  /** Equal for two messages of one day, where the reader is. */
  readonly day: string;
}

/** Working out the day takes longer than all else, and a message keeps its identity until it changes. */
const moments = new WeakMap<TimelineMessage, Moment>();

function momentOf(message: TimelineMessage): Moment {
  let moment = moments.get(message);
  if (moment === undefined) {
    const ms = Date.parse(message.createdAt);
    moment = { ms, minute: Math.floor(ms / 60_000), day: dayOf(message.createdAt) };
    moments.set(message, moment);
  }
  return moment;
}

/** Builds the rows; a row keeps its identity until something of it changes, so that only changed ones are drawn again. */
export function createRows(): (input: Input) => readonly Row[] {
  let shown = new Map<string, Row>();
  let list: readonly Row[] = [];
  return ({ messages, viewerId, firstUnreadId, hasOlder }) => {
    const rows = messages.map((message, index): Row => {
      const before = messages[index - 1];
      const after = messages[index + 1];
      const opensDay = before === undefined ? !hasOlder : momentOf(before).day !== momentOf(message).day;
      const opensUnread = message.id === firstUnreadId;
      const row: Row = {
        message,
        opensDay,
        opensUnread,
        isOwn: message.sender.id === viewerId,
        opensGroup: opensDay || opensUnread || before === undefined || !areTogether(before, message),
        showsTime:
          after === undefined || !areTogether(message, after) || momentOf(message).minute !== momentOf(after).minute,
      };
      const known = shown.get(message.id);
      return known !== undefined && isEqual(known, row) ? known : row;
    });
    shown = new Map(rows.map((row) => [row.message.id, row]));
    if (rows.length !== list.length || rows.some((row, index) => row !== list[index])) list = rows;
    return list;
  };
}

const areTogether = (a: TimelineMessage, b: TimelineMessage): boolean =>
  a.type !== 'SYSTEM' &&
  b.type !== 'SYSTEM' &&
  a.sender.id === b.sender.id &&
  momentOf(a).day === momentOf(b).day &&
  Math.abs(momentOf(b).ms - momentOf(a).ms) < groupMs;

const isEqual = (a: Row, b: Row): boolean => (Object.keys(a) as (keyof Row)[]).every((key) => a[key] === b[key]);

/** The height of a row before it was drawn. A good guess keeps the scroll bar steady. */
export function estimateHeight({ message, opensDay, opensUnread, opensGroup, isOwn }: Row): number {
  const above = (opensDay ? 56 : 0) + (opensUnread ? 44 : 0);
  if (message.type === 'SYSTEM') return above + 44;
  if (message.type === 'IMAGE') return above + 260;
  const lines = Math.ceil((message.content?.length ?? 0) / 34) || 1;
  return above + 20 + lines * 22 + (opensGroup ? (isOwn ? 12 : 32) : 3);
}
