import type { ListedParts, ListedRoom } from '../../../domain/inbox.js';
import type { Message } from '../../../domain/message.js';
import type { LogEntry, Member } from '../../../domain/room-log.js';

/** Messages and deletions that are kept for counting. A viewer or a read mark further behind is read from the database. */
const ringSize = 200;
/** Entries that wait for an earlier one, or for the reading of the room. With more, the room is read again. */
const maxAhead = 100;

/** A message, or the deletion of one, that changes how much is unread. */
interface CountedEntry {
  readonly seq: number;
  readonly messageSeq: number;
  readonly senderId: number;
  readonly change: 1 | -1;
}

interface ViewerState<Room> {
  readonly title: string;
  member: ListedParts['viewerMember'];
  /** `unread` is right at this position, counted from the viewer's read mark or joining. */
  at: number;
  unread: number;
  /** The room as it was last shown; one object for all watchers of the viewer. */
  shown: Room | undefined;
}

/** The room without the parts of its viewers. */
type SharedRoom<Room> = Omit<Room, 'preloaded'> &
  Pick<ListedRoom, 'id' | 'seq' | 'epoch' | 'updatedAt'> &
  Pick<ListedParts, 'memberCount' | 'lastMessage'>;

/**
 * A room as its viewers' lists show it, at one position of its log: as it was read from the database, and then changed by
 * each later entry. Only entries of messages are understood; after any other one the room has to be read again, so what
 * depends on members, names and settings stays as it was read. A viewer's count follows when it is shown.
 */
export class InboxState<Room extends ListedRoom> {
  /** How many readings of the room are under way. */
  readings = 0;
  #shared: SharedRoom<Room> | undefined;
  readonly #viewers = new Map<number, ViewerState<Room>>();
  readonly #ring: CountedEntry[] = [];
  /** All counted entries after this position are in the ring. */
  #floor = 0;
  readonly #ahead = new Map<number, LogEntry>();
  #hasWaited = false;

  /** The position; 0 until the room has been read. */
  get seq(): number {
    return this.#shared?.seq ?? 0;
  }

  /** The epoch of the position. */
  get epoch(): string {
    return this.#shared?.epoch ?? '';
  }

  /** Whether it serves nobody. */
  get isEmpty(): boolean {
    return this.#viewers.size === 0 && this.readings === 0;
  }

  /** The memory that it takes, in units of about 500 bytes. */
  get size(): number {
    const text = this.#shared?.lastMessage?.content?.length ?? 0;
    return 1 + this.#viewers.size * 2 + (text >> 8) + (this.#ring.length >> 3) + this.#ahead.size * 4;
  }

  /**
   * Whether to wait for entries up to this known position, which may arrive out of order within milliseconds. It is true once
   * at a time: a gap that stays is read from the database.
   */
  isWorthWaiting(seq: number): boolean {
    this.#hasWaited = this.#shared !== undefined && this.seq < seq && !this.#hasWaited;
    return this.#hasWaited;
  }

  /** Follows the entry. Returns false if the room has to be read again: then this state is of no use. */
  accept(entry: LogEntry): boolean {
    if (this.#shared !== undefined && entry.seq <= this.seq) return true;
    if (this.#ahead.size < maxAhead || entry.seq === this.seq + 1) this.#ahead.set(entry.seq, entry);
    return this.#followAhead();
  }

  /**
   * Takes over the room as it was read from the database for the viewer.
   * @returns false if an entry has arrived meanwhile after which it has to be read again
   */
  learn(viewerId: number, room: Room): boolean {
    // A room with a name has no other title.
    const preloaded = { ...room.preloaded, title: room.name ?? room.preloaded?.title };
    if (!isWhole(preloaded) || hidesNames(room, preloaded)) return true;
    if (this.#shared === undefined || room.seq > this.seq || room.epoch !== this.epoch) this.#begin(room, preloaded);
    const { title, viewerMember: member, unreadCount: unread } = preloaded;
    if (room.seq >= this.#floor) this.#viewers.set(viewerId, { title, member, at: room.seq, unread, shown: undefined });
    return this.#followAhead();
  }

  /** Moves the viewer's read mark forward. */
  read(viewerId: number, mark: Member): void {
    const { lastReadSeq } = mark;
    const viewer = this.#viewers.get(viewerId);
    if (viewer === undefined || this.#shared === undefined || lastReadSeq <= viewer.member.lastReadSeq) return;
    // Its other fields may be from before or after this position.
    const { isAdmin, joinedAt, joinedSeq, leftAt, user } = viewer.member;
    viewer.member = { ...mark, isAdmin, joinedAt, joinedSeq, leftAt, ...(user === undefined ? {} : { user }) };
    viewer.shown = undefined;
    // Nothing is unread at the mark; what came after it is counted from there.
    const { seq, lastMessage } = this.#shared;
    const hasReadAll = (lastMessage?.seq ?? 0) <= lastReadSeq;
    viewer.at = hasReadAll ? Math.max(seq, lastReadSeq) : lastReadSeq;
    viewer.unread = 0;
  }

  forget(viewerId: number): void {
    this.#viewers.delete(viewerId);
  }

  /**
   * The room as the viewer sees it now; undefined if that is not known.
   * @param lastReadSeq - the viewer's newest known read mark
   */
  show(viewerId: number, lastReadSeq: number): Room | undefined {
    const viewer = this.#viewers.get(viewerId);
    const shared = this.#shared;
    if (shared === undefined || viewer === undefined || viewer.member.lastReadSeq < lastReadSeq) return undefined;
    if (viewer.shown?.seq === shared.seq) return viewer.shown;
    if (viewer.at < this.#floor || viewer.at > shared.seq) return undefined;
    this.#count(viewerId, viewer);
    const { memberCount, lastMessage, ...room } = shared;
    const { title, unread: unreadCount, member: viewerMember } = viewer;
    const parts: ListedParts = { title, memberCount, lastMessage, unreadCount, viewerMember };
    viewer.shown = { ...room, preloaded: parts } as SharedRoom<Room> & Room;
    return viewer.shown;
  }

  #begin({ preloaded: _, ...room }: Room, { memberCount, lastMessage }: ListedParts): void {
    this.#shared = { ...room, memberCount, lastMessage };
    this.#viewers.clear();
    this.#ring.length = 0;
    this.#floor = room.seq;
    for (const seq of this.#ahead.keys()) if (seq <= room.seq) this.#ahead.delete(seq);
  }

  #followAhead(): boolean {
    for (let shared = this.#shared; shared !== undefined; shared = this.#shared) {
      const next = this.#ahead.get(shared.seq + 1);
      if (next === undefined) return true;
      this.#ahead.delete(next.seq);
      const changed = next.epoch === shared.epoch ? follow(shared.lastMessage, next) : undefined;
      if (changed === undefined) return false;
      this.#shared = { ...shared, ...changed, seq: next.seq };
      this.#note(next);
    }
    return true;
  }

  #note({ kind, seq, message }: LogEntry): void {
    if (kind === 'updated' || message.type === 'SYSTEM') return;
    this.#ring.push({ seq, messageSeq: message.seq, senderId: message.senderId, change: kind === 'added' ? 1 : -1 });
    const dropped = this.#ring.length > ringSize ? this.#ring.shift() : undefined;
    if (dropped !== undefined) this.#floor = dropped.seq;
  }

  /** Counts what has come since the viewer was last shown: messages of others behind the read mark and the joining. */
  #count(viewerId: number, viewer: ViewerState<Room>): void {
    const from = Math.max(viewer.member.lastReadSeq, viewer.member.joinedSeq);
    for (let place = this.#ring.length - 1; place >= 0; place -= 1) {
      const { seq, messageSeq, senderId, change } = this.#ring[place] as CountedEntry;
      if (seq <= viewer.at) break;
      if (senderId !== viewerId && messageSeq > from) viewer.unread += change;
    }
    viewer.at = this.seq;
  }
}

type MovedRoom = Partial<Pick<ListedRoom, 'updatedAt'> & Pick<ListedParts, 'lastMessage'>>;

/** What the entry changes in the list, beside the position; undefined if only the database knows. */
function follow(last: Message | null, { kind, seq, message }: LogEntry): MovedRoom | undefined {
  // Published again after a later change, which may be a deletion.
  if (message.changedSeq !== seq) return undefined;
  if (kind === 'updated') return message.id === last?.id ? { lastMessage: message } : {};
  // Only the database has the message before the deleted one.
  if (kind === 'deleted') return message.id === last?.id ? undefined : {};
  // Other SYSTEM messages are about members or the room itself.
  if (message.system !== null && message.system.code !== 'ANNOUNCEMENT') return undefined;
  return { lastMessage: message, updatedAt: message.createdAt };
}

type FoundParts = { readonly [Name in keyof ListedParts]?: ListedParts[Name] | undefined };

const isWhole = (parts: FoundParts): parts is ListedParts =>
  parts.title !== undefined &&
  parts.memberCount !== undefined &&
  parts.lastMessage !== undefined &&
  parts.unreadCount !== undefined &&
  parts.viewerMember !== undefined;

/**
 * A number in the place of a name may change without an entry of its own, when the user gets a name, or writes or reads in the
 * room for the first time. Such a room is always read.
 */
const hidesNames = ({ name }: ListedRoom, { title }: ListedParts): boolean =>
  name === null && /(?:^|, )#\d/.test(title);
