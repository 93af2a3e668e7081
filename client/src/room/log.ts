import type {
  MessagePageFragment,
  MessagePartsFragment,
  RoomEventsSubscription,
} from '../operations/generated/documents.js';

/** A message as the server has it. */
export type Message = MessagePartsFragment & {
  /** As it was when the message was read; only for members who are not all known here. */
  readonly unreadMemberCount?: number;
};

/** A file of a message as the server has it. */
export type Attachment = Message['attachments'][number];

export type RoomEvent = RoomEventsSubscription['roomEvents'];

/** An event of the log that has a message. */
export type Entry = Extract<RoomEvent, { message: unknown }>;

/** What is known of a room's log: a part of its history without a gap, and the position up to which changes are known. */
export interface Log {
  readonly epoch: string;
  /** Resume behind this position. */
  readonly seq: number;
  /** In the order of seq, without a gap between the first and the last. */
  readonly messages: readonly Message[];
  readonly hasOlder: boolean;
  /** Whether the newest messages are left out, because an older part of the history is shown. */
  readonly hasNewer: boolean;
  /** The newest messages that have arrived since `tailFrom` while an older part is shown. */
  readonly tail: readonly Message[];
  /** Every message behind this position is in `tail`. */
  readonly tailFrom: number;
  /** Whether a message may be in a state from behind `seq`: a page, or an answer, was ahead of the events. */
  readonly isAhead: boolean;
}

/**
 * The next step after an event: `refresh` reads the room, `reread` also its newest page; `resume` subscribes again because an
 * entry is missing, `reload` because what is known is void.
 */
export type Consequence = 'none' | 'refresh' | 'reread' | 'resume' | 'reload';

/** Beyond this many messages, those farthest from where the reader is are dropped: they are read again on the way back. */
export const maxMessages = 2_000;
const maxTail = 200;

/** The log as the newest page of a room shows it. */
export function openLog(epoch: string, seq: number, page: MessagePageFragment): Log {
  return { ...fromPage(page), epoch, seq, hasNewer: false, tail: [], tailFrom: seq, isAhead: false };
}

/** The log with another part of its history, which may not reach to the newest message. */
export function showPart(log: Log, page: MessagePageFragment): Log {
  const part = { ...log, ...fromPage(page), isAhead: true, hasNewer: page.pageInfo.hasNextPage };
  if (part.hasNewer) return log.hasNewer ? part : { ...part, tail: [], tailFrom: log.seq };
  if (log.hasNewer) return withTail(part);
  // What has arrived while the page was on its way is behind its end.
  const end = part.messages.at(-1)?.seq ?? 0;
  return {
    ...part,
    messages: merge(
      part.messages,
      log.messages.filter(({ seq }) => seq > end),
    ),
  };
}

const fromPage = (page: MessagePageFragment) => ({
  messages: page.edges.map(({ node }) => node),
  hasOlder: page.pageInfo.hasPreviousPage,
});

/** The log with the page before its first message. */
export function addOlder(log: Log, page: MessagePageFragment): Log {
  const messages = merge(fromPage(page).messages, log.messages);
  const isTooLong = messages.length > maxMessages;
  const kept = isTooLong ? messages.slice(0, maxMessages) : messages;
  const cut = isTooLong && !log.hasNewer ? { hasNewer: true, tail: [], tailFrom: log.seq } : {};
  return { ...log, messages: kept, isAhead: true, hasOlder: page.pageInfo.hasPreviousPage, ...cut };
}

/**
 * The log with the page after its last message. At the end of the history, what has arrived since joins it.
 * @param askedAt - the position of the log when the page was asked for
 */
export function addNewer(log: Log, page: MessagePageFragment, askedAt: number): Log {
  const messages = merge(log.messages, fromPage(page).messages);
  const isTooLong = messages.length > maxMessages;
  const longer = {
    ...log,
    isAhead: true,
    messages: isTooLong ? messages.slice(-maxMessages) : messages,
    hasOlder: log.hasOlder || isTooLong,
  };
  // The page has everything up to `askedAt`, and the tail what came behind `tailFrom`.
  return page.pageInfo.hasNextPage || log.tailFrom > askedAt ? longer : withTail(longer);
}

function withTail(log: Log): Log {
  return { ...log, messages: merge(log.messages, log.tail), hasNewer: false, tail: [], tailFrom: log.seq };
}

/** Applies one event. `isLive` says that the replay has ended: from then on, positions have no holes. */
export function applyEvent(log: Log, event: RoomEvent, isLive: boolean): { log: Log; consequence: Consequence } {
  const { seq, epoch } = event;
  // What is ahead may have been lost with the epoch before.
  if (epoch !== log.epoch && log.isAhead) return { log, consequence: 'reload' };
  switch (event.__typename) {
    case 'RoomReady':
      return { log: { ...log, seq, epoch }, consequence: 'none' };
    case 'RoomResync':
      return { log, consequence: 'reload' };
    case 'MembersRead':
      return { log, consequence: 'none' };
    case 'MessageAdded':
    case 'MessageUpdated':
    case 'MessageDeleted': {
      if (epoch === log.epoch) {
        if (seq <= log.seq) return { log, consequence: 'none' };
        if (isLive && seq > log.seq + 1) return { log, consequence: 'resume' };
      }
      const moved = { ...log, seq, epoch };
      const message = messageOf(event);
      // The members, the title or the rights may have changed with it.
      const consequence = message.type === 'SYSTEM' ? 'refresh' : 'none';
      return { log: event.__typename === 'MessageAdded' ? add(moved, message) : replace(moved, message), consequence };
    }
    default:
      // An event of a newer server: what it changed is unknown, so what is shown is read again.
      return { log: { ...log, seq: Math.max(seq, log.seq), epoch }, consequence: 'reread' };
  }
}

/** The message of an event. A deleted one has no files. */
export const messageOf = ({ message }: Entry): Message => ({ attachments: [], ...message });

function add(log: Log, message: Message): Log {
  // A page may have brought a later state of it than the entry that added it.
  const isNew = message.seq > (log.messages.at(-1)?.seq ?? 0);
  const known = isNew ? undefined : log.messages.find(({ id }) => id === message.id);
  if (known !== undefined) return versionOf(message) < versionOf(known) ? log : replace(log, message);
  if (log.hasNewer) {
    const tail = merge(log.tail, [message]);
    if (tail.length <= maxTail) return { ...log, tail };
    return { ...log, tail: tail.slice(-maxTail), tailFrom: (tail.at(-maxTail - 1) as Message).seq };
  }
  const messages = merge(log.messages, [message]);
  if (messages.length <= maxMessages) return { ...log, messages };
  return { ...log, messages: messages.slice(-maxMessages), hasOlder: true };
}

/** Later for a later state of the same message. */
export const versionOf = ({ createdAt, editedAt, deletedAt }: Message): string => deletedAt ?? editedAt ?? createdAt;

/** The log with a newer state of a message that it may have. */
export function replace(log: Log, message: Message): Log {
  const swap = (messages: readonly Message[]) => {
    const index = messages.findIndex(({ id }) => id === message.id);
    if (index === -1) return messages;
    const { unreadMemberCount } = messages[index] as Message;
    const swapped = [...messages];
    swapped[index] = unreadMemberCount === undefined ? message : { unreadMemberCount, ...message };
    return swapped;
  };
  return { ...log, messages: swap(log.messages), tail: swap(log.tail) };
}

/** Both in the order of seq, each message once; the second one's state wins. */
function merge(first: readonly Message[], second: readonly Message[]): readonly Message[] {
  const [last, next] = [first.at(-1), second[0]];
  if (last === undefined || next === undefined) return [...first, ...second];
  if (last.seq < next.seq) return [...first, ...second];
  const messages = new Map([...first, ...second].map((message) => [message.id, message]));
  return [...messages.values()].sort((a, b) => a.seq - b.seq);
}

/** The newest messages, to be stored. A part of the history that does not reach to the newest one is not stored. */
export function storedPart(log: Log, count: number): Log | undefined {
  if (log.hasNewer) return undefined;
  const messages = log.messages.slice(-count);
  return { ...log, messages, hasOlder: log.hasOlder || messages.length < log.messages.length };
}
