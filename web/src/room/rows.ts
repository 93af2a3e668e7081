import type { TimelineMessage } from '@fairway/client';
import { estimateFiles } from '../files/layout.js';
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

/** A row with what it was made of. */
interface Made {
  readonly row: Row;
  readonly before: TimelineMessage | undefined;
  readonly after: TimelineMessage | undefined;
}

/**
 * Builds the rows; a row keeps its identity until something of it changes, so that only changed ones are drawn again. A
 * message that arrives costs next to nothing for the rows that it does not stand beside, of which there may be thousands.
 */
export function createRows(): (input: Input) => readonly Row[] {
  let shown = new Map<string, Row>();
  let list: readonly Row[] = [];
  let last: Input | undefined;
  let made = new WeakMap<TimelineMessage, Made>();
  return (input) => {
    const { messages } = input;
    if (!(['viewerId', 'firstUnreadId', 'hasOlder'] as const).every((key) => input[key] === last?.[key])) {
      made = new WeakMap();
    }
    last = input;
    const rows = messages.map((message, index): Row => {
      const [before, after] = [messages[index - 1], messages[index + 1]];
      const known = made.get(message);
      if (known !== undefined && known.before === before && known.after === after) return known.row;
      const row = keep(shown.get(message.id), makeRow(message, before, after, input));
      made.set(message, { row, before, after });
      return row;
    });
    shown = new Map(rows.map((row) => [row.message.id, row]));
    if (rows.length !== list.length || rows.some((row, index) => row !== list[index])) list = rows;
    return list;
  };
}

function makeRow(
  message: TimelineMessage,
  before: TimelineMessage | undefined,
  after: TimelineMessage | undefined,
  { viewerId, firstUnreadId, hasOlder }: Input,
): Row {
  const opensDay = before === undefined ? !hasOlder : momentOf(before).day !== momentOf(message).day;
  const opensUnread = message.id === firstUnreadId;
  return {
    message,
    opensDay,
    opensUnread,
    isOwn: message.sender.id === viewerId,
    opensGroup: opensDay || opensUnread || before === undefined || !areTogether(before, message),
    showsTime:
      after === undefined || !areTogether(message, after) || momentOf(message).minute !== momentOf(after).minute,
  };
}

const areTogether = (a: TimelineMessage, b: TimelineMessage): boolean =>
  a.type !== 'SYSTEM' &&
  b.type !== 'SYSTEM' &&
  a.sender.id === b.sender.id &&
  momentOf(a).day === momentOf(b).day &&
  Math.abs(momentOf(b).ms - momentOf(a).ms) < groupMs;

/** The row from before if nothing of it has changed. */
const keep = (before: Row | undefined, now: Row): Row =>
  before !== undefined && (Object.keys(now) as (keyof Row)[]).every((key) => before[key] === now[key]) ? before : now;

/** Longer texts are folded: one message must not take a whole room away. */
export const foldedLines = 40;

/** A Korean character, and most others, in px. */
const characterPx = 15;

/**
 * The height of a row before it was drawn. A good guess keeps the scroll bar steady.
 * @param width - of the room, in px
 */
export function estimateHeight({ message, opensDay, opensUnread, opensGroup, isOwn }: Row, width: number): number {
  const above = (opensDay ? 56 : 0) + (opensUnread ? 44 : 0);
  if (message.type === 'SYSTEM') return above + 44;
  if (message.type === 'IMAGE' && message.attachments.length === 0) return above + 260;
  const perLine = Math.max(Math.min(width * 0.7, 560) - 24, 60) / characterPx;
  const content = message.content ?? '';
  const files = estimateFiles(message, width);
  const edges = opensGroup ? (isOwn ? 12 : 32) : 3;
  if (files > 0 && content === '') return above + files + edges;
  const lines = content
    .split('\n', foldedLines)
    .reduce((sum, line) => sum + (Math.ceil(line.length / perLine) || 1), 0);
  return above + files + 20 + lines * 22 + edges;
}
