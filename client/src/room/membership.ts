import {
  type MemberPageFragment,
  MoreMembersDocument,
  type RoomStateFragment,
} from '../operations/generated/documents.js';
import type { Session } from '../session.js';
import type { Log, Message } from './log.js';
import { type Marks, type MovedMark, moveMarks, noMarks, readMarks } from './read-state.js';

export type Member = MemberPageFragment['edges'][number]['node'];

const pageSize = 50;
/** A reading of the room brings the count of those before. */
const maxDeleted = 200;

/** What is known of a room itself, its members, and how far they and the viewer have read. */
export class Membership {
  room: RoomStateFragment | undefined;
  marks: Marks = noMarks;
  members: readonly Member[] = [];
  /** The viewer has read up to here, also if the server does not know it yet. */
  readSeq = 0;
  #cursor: string | null = null;
  #count = 0;
  /** How many messages up to this position are unread, as the server has counted them. */
  #unread = { count: 0, seq: 0 };
  /** The newest deletions, which that count may not know: its answer may come after their events. */
  #deleted: readonly { readonly message: Message; readonly seq: number }[] = [];

  constructor(
    private readonly session: Session,
    private readonly roomId: string,
  ) {}

  get hasMore(): boolean {
    return this.#cursor !== null;
  }

  /** The room as it is now. Returns whether its log has begun another life, in which earlier positions mean nothing. */
  set(room: RoomStateFragment): boolean {
    const isReborn = this.room !== undefined && this.room.epoch !== room.epoch;
    if (isReborn) this.readSeq = 0;
    this.#deleted = isReborn ? [] : this.#deleted.filter(({ seq }) => seq > room.seq);
    this.room = room;
    this.#unread = { count: room.unreadCount, seq: room.seq };
    this.readSeq = Math.max(this.readSeq, room.viewerMember.lastReadSeq);
    this.marks = readMarks(room.memberPage);
    this.#setMembers(room.memberPage);
    return isReborn;
  }

  /** Loads the next page of members. Resolves with false if it could not be loaded, or there is none. */
  async loadMore(): Promise<boolean> {
    const after = this.#cursor;
    if (after === null) return false;
    try {
      const variables = { roomId: this.roomId, first: pageSize, after };
      const { room } = await this.session.connection.request(MoreMembersDocument, variables);
      if (room === null || after !== this.#cursor) return false;
      this.#add(room.memberPage);
      return true;
    } catch {
      return false;
    }
  }

  /** Marks have moved. Returns whether the viewer has read on, on another device. */
  move(marks: readonly MovedMark[]): boolean {
    this.marks = moveMarks(this.marks, marks);
    const moved = new Map(marks.map((mark) => [mark.user.id, mark.lastReadSeq]));
    this.members = this.members.map((member) => {
      const lastReadSeq = moved.get(member.user.id) ?? 0;
      return lastReadSeq > member.lastReadSeq ? { ...member, lastReadSeq } : member;
    });
    const own = marks.find(({ user }) => user.id === this.#viewerId);
    if (own === undefined || own.lastReadSeq <= this.readSeq) return false;
    this.readSeq = own.lastReadSeq;
    return true;
  }

  /** A message was deleted by the entry at this position. */
  countDeleted(message: Message, seq: number): void {
    this.#deleted = [...this.#deleted, { message: { ...message, deletedAt: null }, seq }].slice(-maxDeleted);
  }

  /** Counted here where the log reaches back to the read mark; otherwise as the server has said, and what came since. */
  countUnread(log: Log | undefined): number {
    if (log === undefined || this.room === undefined) return this.#unread.count;
    const from = Math.max(this.readSeq, this.room.viewerMember.joinedSeq);
    const isCovered = !log.hasNewer && (!log.hasOlder || (log.messages[0]?.seq ?? 0) <= from + 1);
    const messages = [...log.messages, ...log.tail];
    if (isCovered) return messages.filter((message) => this.#isUnread(message, from)).length;
    const { count, seq: countedAt } = this.#unread;
    const added = messages.filter((message) => this.#isUnread(message, Math.max(from, countedAt)));
    const gone = this.#deleted.filter(({ message }) => message.seq <= countedAt && this.#isUnread(message, from));
    return count + added.length - gone.length;
  }

  forget(): void {
    this.room = undefined;
    this.marks = noMarks;
    this.members = [];
    this.readSeq = 0;
    this.#cursor = null;
    this.#count = 0;
    this.#unread = { count: 0, seq: 0 };
    this.#deleted = [];
  }

  get #viewerId(): string | undefined {
    return this.session.viewer.getSnapshot()?.id;
  }

  #isUnread({ seq, type, sender, deletedAt }: Message, from: number): boolean {
    return seq > from && type !== 'SYSTEM' && deletedAt === null && sender.id !== this.#viewerId;
  }

  /** The first page is new; the pages behind it stay while nobody has come or gone. */
  #setMembers(page: MemberPageFragment): void {
    const isSame = page.pageInfo.hasNextPage && page.totalCount === this.#count;
    const before = this.members;
    this.#count = page.totalCount;
    if (isSame && before.length > page.edges.length) {
      const first = new Map(page.edges.map(({ node }) => [node.user.id, node]));
      this.members = before.map((member) => first.get(member.user.id) ?? member);
    } else {
      this.members = [];
      this.#add(page);
    }
    if (JSON.stringify(before) === JSON.stringify(this.members)) this.members = before;
  }

  #add({ edges, pageInfo }: MemberPageFragment): void {
    // A member who leaves and rejoins between two pages comes twice.
    const members = new Map(
      [...this.members, ...edges.map(({ node }) => node)].map((member) => [member.user.id, member]),
    );
    this.members = [...members.values()];
    this.#cursor = pageInfo.hasNextPage ? pageInfo.endCursor : null;
  }
}
