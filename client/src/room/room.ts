import { createFeed, type Feed } from '../connection/feed.js';
import { asFairwayError, FairwayError } from '../errors.js';
import { createLinger, type Linger } from '../linger.js';
import {
  LeaveRoomDocument,
  type MemberPageFragment,
  type MessagePageFragment,
  MessagesAroundDocument,
  MoreMembersDocument,
  NewerMessagesDocument,
  OlderMessagesDocument,
  RoomEventsDocument,
  type RoomStateFragment,
} from '../operations/generated/documents.js';
import { type Session, write } from '../session.js';
import { createStore, type Store } from '../store.js';
import { createDraft } from './draft.js';
import {
  addNewer,
  addOlder,
  applyEvent,
  type Log,
  type Message,
  openLog,
  type RoomEvent,
  replace,
  showPart,
  storedPart,
  versionOf,
} from './log.js';
import { type RoomReading, readRoom } from './read-room.js';
import { type Marks, type MovedMark, moveMarks, noMarks, readMarks } from './read-state.js';
import { createSeen } from './seen.js';
import { createTimeline, type TimelineMessage } from './timeline.js';
import { createTypingSignal, followTyping, type TypingUser } from './typing.js';

/** `stale` shows what is known while the connection is being restored. `gone`: the viewer is no member, or there is no room. */
export type RoomStatus = 'loading' | 'ready' | 'stale' | 'gone';

/** What is known of a room itself. */
export type RoomDetails = Omit<
  RoomStateFragment,
  'memberPage' | 'firstUnreadMessage' | 'seq' | 'epoch' | 'unreadCount'
>;

export type Member = MemberPageFragment['edges'][number]['node'];

export interface RoomSnapshot {
  readonly id: string;
  readonly status: RoomStatus;
  /** Null while it is not known. */
  readonly room: RoomDetails | null;
  /** In the order in which they are shown, the newest last; what the server has not confirmed comes at the end. */
  readonly messages: readonly TimelineMessage[];
  readonly hasOlder: boolean;
  /** Whether an older part of the history is shown: `goToLatest` or `loadNewer` lead to its end. */
  readonly hasNewer: boolean;
  readonly isLoadingOlder: boolean;
  readonly isLoadingNewer: boolean;
  /** The message above which the line "new" is drawn; it stays where it was when the room was opened. */
  readonly firstUnreadId: string | null;
  readonly unreadCount: number;
  readonly typing: readonly TypingUser[];
  readonly draft: string;
  /** The longest member first; `loadMoreMembers` reads the others. */
  readonly members: readonly Member[];
  readonly hasMoreMembers: boolean;
}

const pageSize = 50;
const storedMessages = 100;
const storedRooms = 20;
/** What has changed is written after this time. */
const saveMs = 1_000;
/** The room itself is read again at most this often. */
const refreshMs = 1_000;
/** Farther behind than this, the newest page is faster than a replay. */
const maxReplay = 500;
/** More events than this do not wait for a page. */
const maxEarly = 1_000;

/** Grows with each change of what is stored of a room: what another version has stored is not read. */
const storedVersion = 1;

/** What is stored of a room. */
interface StoredRoom {
  readonly version: typeof storedVersion;
  readonly log: Log;
  readonly room: RoomStateFragment;
}

/** One room: its state, live while somebody is subscribed to it, and what the viewer can do there. */
export class Room implements Store<RoomSnapshot> {
  readonly #session: Session;
  readonly #store;
  readonly #linger: Linger;
  readonly #buildTimeline = createTimeline();
  readonly #draft;
  readonly #seen;
  readonly #typingSignal;
  #feed: Feed | undefined;
  #typingFeed: Feed | undefined;
  #status: RoomStatus = 'loading';
  #log: Log | undefined;
  #room: RoomStateFragment | undefined;
  #marks: Marks = noMarks;
  #members: readonly Member[] = [];
  #memberCursor: string | null = null;
  #memberCount = 0;
  #typing: readonly TypingUser[] = [];
  #confirmed: readonly Message[] = [];
  /** The changes that arrive while a page is on its way, which may be older than they are. */
  readonly #changed = new Map<string, Message>();
  #loads = 0;
  #isLoadingOlder = false;
  #isLoadingNewer = false;
  /** Whether the replay has ended: events are live. */
  #isLive = false;
  /** How many entries the replay has brought. */
  #replayed = 0;
  /** The events that arrive while the page before them is being read. */
  #early: RoomEvent[] = [];
  /** Whether the log must be read anew, not continued. */
  #mustReload = false;
  /** Whether the newest page must be read again, because an event was not understood. */
  #mustReread = false;
  /** Whether a page is on its way: what arrives meanwhile is applied to it, too. */
  #isRereading = false;
  /** Counts the readings of the room: only the newest one counts. */
  #reading = 0;
  /** The marks that move while the room is being read, whose answer may be older. */
  #movedMarks: { readonly epoch: string; readonly members: readonly MovedMark[] }[] = [];
  #cancelRead = () => {};
  /** When the room was last read. */
  #readAt = 0;
  /** Counts the logs: a page for an earlier one is ignored. */
  #life = 0;
  #firstUnreadId: string | null | undefined;
  #readSeq = 0;
  /** How many messages up to this position are unread, as the server has counted them. */
  #unread = { count: 0, seq: 0 };
  #cancelSave: (() => void) | undefined;
  #cancelRefresh: (() => void) | undefined;
  #stopListening = () => {};
  #isWatched = false;
  #isToRestart = false;

  constructor(
    session: Session,
    readonly id: string,
  ) {
    this.#session = session;
    this.#store = createStore<RoomSnapshot>(
      {
        id,
        status: 'loading',
        room: null,
        messages: [],
        hasOlder: false,
        hasNewer: false,
        isLoadingOlder: false,
        isLoadingNewer: false,
        firstUnreadId: null,
        unreadCount: 0,
        typing: [],
        draft: '',
        members: [],
        hasMoreMembers: false,
      },
      (isWatched) => this.#linger.setWatched(isWatched),
    );
    this.#linger = createLinger(
      session.environment,
      () => this.#start(),
      () => this.#stop(),
    );
    this.#draft = createDraft(session, id, () => this.#show());
    this.#seen = createSeen(session, id, (seq) => {
      this.#readSeq = Math.max(this.#readSeq, seq);
      this.#show();
    });
    this.#typingSignal = createTypingSignal(session, id);
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.returnTo();
    return this.#store.subscribe(listener);
  };
  readonly getSnapshot = (): RoomSnapshot => this.#store.getSnapshot();

  /**
   * Sends a message: it is shown now, survives a reload, and arrives once, in order. Returns its id.
   * @throws {FairwayError} BAD_USER_INPUT if the text is empty or too long; NOT_FOUND if the room is gone; OUTBOX_FULL;
   *   SIGNED_OUT; CLOSED
   */
  send(content: string, type: 'TEXT' | 'IMAGE' = 'TEXT'): string {
    this.#assertContent(content);
    if (type !== 'TEXT' && type !== 'IMAGE') throw new FairwayError('BAD_USER_INPUT', 'A message is TEXT or IMAGE');
    if (this.#status === 'gone') throw new FairwayError('NOT_FOUND', 'The viewer is no member of this room');
    const id = this.#session.environment.uuid();
    this.#session.start();
    this.#session.outbox.add({ kind: 'send', id, roomId: this.id, type, content });
    this.#typingSignal.sent();
    if (this.#draft.get() === content) this.#draft.set('');
    return id;
  }

  /**
   * Changes the text of one of the viewer's own messages.
   * @throws {FairwayError} as `send`
   */
  edit(messageId: string, content: string): void {
    assertId(messageId);
    this.#assertContent(content);
    this.#session.start();
    this.#session.outbox.add({
      kind: 'edit',
      id: this.#session.environment.uuid(),
      roomId: this.id,
      messageId,
      content,
    });
  }

  /** Deletes a message for everyone; one that was never sent is only discarded. */
  delete(messageId: string): void {
    assertId(messageId);
    const { outbox, environment } = this.#session;
    this.#session.start();
    if (outbox.isUnsent(messageId)) outbox.discard(messageId);
    else outbox.add({ kind: 'delete', id: environment.uuid(), roomId: this.id, messageId });
  }

  /** Loads the page before the first message. Resolves with false if it could not be loaded. */
  async loadOlder(): Promise<boolean> {
    const log = this.#log;
    const before = log?.messages[0]?.cursor;
    if (log === undefined || before === undefined || !log.hasOlder || this.#isLoadingOlder) return false;
    this.#isLoadingOlder = true;
    const isLoaded = await this.#load(async () => {
      const variables = { roomId: this.id, count: pageSize, before };
      const { room } = await this.#session.connection.request(OlderMessagesDocument, variables);
      return room?.messages;
    }, addOlder);
    this.#isLoadingOlder = false;
    this.#show();
    return isLoaded;
  }

  /** Loads the page after the last message, where an older part of the history is shown. */
  async loadNewer(): Promise<boolean> {
    const log = this.#log;
    const after = log?.messages.at(-1)?.cursor;
    if (log === undefined || after === undefined || !log.hasNewer || this.#isLoadingNewer) return false;
    this.#isLoadingNewer = true;
    const isLoaded = await this.#load(
      async () => {
        const variables = { roomId: this.id, count: pageSize, after };
        const { room } = await this.#session.connection.request(NewerMessagesDocument, variables);
        return room?.messages;
      },
      (now, page) => addNewer(now, page, log.seq),
    );
    this.#isLoadingNewer = false;
    this.#show();
    return isLoaded;
  }

  /** Shows the part of the history around a message. Resolves with false if it could not be loaded. */
  goTo(messageId: string): Promise<boolean> {
    if (this.#log?.messages.some(({ id }) => id === messageId)) return Promise.resolve(true);
    return this.#load(async () => {
      const variables = { roomId: this.id, messageId, count: pageSize };
      const { room } = await this.#session.connection.request(MessagesAroundDocument, variables);
      return room?.messagesAround;
    }, showPart);
  }

  /** Shows the newest messages again. */
  goToLatest(): void {
    if (this.#log?.hasNewer !== true) return;
    this.#reload();
  }

  /** Says that a message is in view. It counts as read if the page is visible and focused. */
  see(messageId: string): void {
    const message = this.#log?.messages.find(({ id }) => id === messageId);
    if (message !== undefined && message.seq > this.#readSeq) this.#seen.see(message);
  }

  /** Says that the viewer is typing, or has stopped. Call it at every key: it sends no more than it must. */
  setTyping(isTyping: boolean): void {
    this.#typingSignal.set(isTyping);
  }

  setDraft(text: string): void {
    this.#draft.set(text);
  }

  /** Loads the next page of members. Resolves with false if it could not be loaded, or there is none. */
  async loadMoreMembers(): Promise<boolean> {
    const after = this.#memberCursor;
    if (after === null) return false;
    try {
      const variables = { roomId: this.id, first: pageSize, after };
      const { room } = await this.#session.connection.request(MoreMembersDocument, variables);
      if (room === null || after !== this.#memberCursor) return false;
      this.#addMembers(room.memberPage);
      this.#show();
      return true;
    } catch {
      return false;
    }
  }

  /**
   * Ends the viewer's membership.
   * @throws {FairwayError} FORBIDDEN in a DIRECT room; OFFLINE
   */
  async leave(): Promise<void> {
    await this.#session.connection.request(LeaveRoomDocument, { input: { roomId: this.id } });
  }

  /** The position and the epoch of the log that is known here. */
  get position(): { readonly seq: number; readonly epoch: string } | undefined {
    return this.#log;
  }

  /** When a message was last edited, null if never; undefined if it is not known here. */
  editedAtOf(messageId: string): string | null | undefined {
    const messages = [...(this.#log?.messages ?? []), ...this.#confirmed];
    return messages.find(({ id }) => id === messageId)?.editedAt;
  }

  /** The viewer may be a member again of a room that was gone. */
  returnTo(): void {
    if (this.#status !== 'gone' || !this.#isWatched) return;
    this.#stop();
    this.#status = 'loading';
    this.#start();
    this.#show();
  }

  /** The outbox has confirmed a message of this room, whose event may still be on its way. */
  confirm(message: Message, epoch: string | undefined): void {
    const log = this.#log;
    if (log === undefined || (epoch !== undefined && epoch !== log.epoch)) return;
    const known = log.messages.find(({ id }) => id === message.id);
    if (known !== undefined && versionOf(message) > versionOf(known)) {
      this.#log = { ...replace(log, message), isAhead: true };
    } else if (known === undefined && message.seq > log.seq) {
      this.#confirmed = [...this.#confirmed.filter(({ id }) => id !== message.id), message];
    }
    this.#show();
  }

  /** The server has refused the viewer's read mark: it is where the server has it. */
  unsee(): void {
    this.#readSeq = 0;
    this.#seen.reset();
    if (this.#isLive) this.#read(false);
  }

  /** Builds the snapshot again: the outbox, or the viewer, has changed. */
  refresh(): void {
    this.#show();
  }

  /** The page has become visible, focused, hidden or is about to end. */
  pageChanged(isLeaving: boolean): void {
    if (isLeaving) {
      this.#seen.flush(true);
      this.#draft.flush();
      this.#save();
    } else {
      this.#seen.look();
    }
  }

  /** Another user is signed in: nothing of the one before remains. */
  reset(): void {
    const wasWatched = this.#isWatched;
    // What was seen and typed is of the user before: it is stored for them, or forgotten.
    this.#draft.flush();
    this.#draft.forget();
    this.#seen.reset();
    this.#save();
    if (wasWatched) this.#stop();
    this.#forget();
    this.#status = 'loading';
    this.#show();
    this.#isToRestart = wasWatched;
  }

  /** The next user is known: what is watched begins again. */
  restart(): void {
    if (!this.#isToRestart) return;
    this.#isToRestart = false;
    this.#start();
  }

  close(): void {
    this.#isToRestart = false;
    this.#linger.end();
    this.#typingSignal.sent();
  }

  #assertContent(content: string): void {
    if (typeof content !== 'string') throw new FairwayError('BAD_USER_INPUT', 'A message needs a text');
    const length = [...content].length;
    const { maxContentLength } = this.#session.limits();
    if (content.trim() === '') throw new FairwayError('BAD_USER_INPUT', 'A message needs a text');
    if (length > maxContentLength) {
      throw new FairwayError('BAD_USER_INPUT', `A message has at most ${maxContentLength} characters`);
    }
  }

  #start(): void {
    this.#isWatched = true;
    this.#session.start();
    const { environment, connection } = this.#session;
    this.#firstUnreadId = undefined;
    const life = this.#life;
    this.#restore(life).catch(() => {
      // Of another version, or damaged: it is read again.
      this.#forget();
      write(this.#session, (storage) => storage.delete('logs', this.id));
    });
    this.#feed = createFeed({
      environment,
      connection,
      prepare: async () => {
        const log = this.#known;
        [this.#isLive, this.#replayed, this.#early] = [false, 0, []];
        const variables = { roomId: this.id, afterSeq: log?.seq ?? null, epoch: log?.epoch ?? null };
        return { document: RoomEventsDocument, variables };
      },
      next: ({ roomEvents }) => this.#receive(roomEvents),
      polled: () => this.#read(true),
      stale: () => {
        this.#isLive = false;
        this.#endReading();
        if (this.#status === 'ready') this.#setStatus('stale');
      },
      gone: () => this.#end(),
    });
    this.#typingFeed = followTyping(this.#session, this.id, (users) => {
      this.#typing = users;
      this.#show();
    });
    this.#stopListening = this.#session.outbox.operations.subscribe(() => this.#show());
  }

  #stop(): void {
    [this.#isWatched, this.#isToRestart] = [false, false];
    this.#seen.stop();
    this.#draft.flush();
    this.#save();
    this.#feed?.stop();
    this.#typingFeed?.stop();
    [this.#feed, this.#typingFeed] = [undefined, undefined];
    this.#stopListening();
    this.#cancelRefresh?.();
    this.#cancelRefresh = undefined;
    this.#endReading();
    this.#isLive = false;
    this.#typing = [];
    // A room that nobody looks at keeps what it would store.
    this.#log = this.#log && storedPart(this.#log, storedMessages);
    if (this.#status === 'ready') this.#status = 'stale';
    this.#show();
  }

  /** Shows what is stored until the server has answered. */
  async #restore(life: number): Promise<void> {
    await this.#draft.load();
    const stored = (await (await this.#session.storage()).get('logs', this.id)) as StoredRoom | undefined;
    if (stored === undefined || life !== this.#life || this.#log !== undefined || this.#status === 'gone') return;
    if (stored.version !== storedVersion) throw new Error('Stored by another version');
    this.#log = stored.log;
    this.#setRoom(stored.room);
    this.#setStatus('stale');
  }

  /** The log to continue; undefined if a page must be read first. */
  get #known(): Log | undefined {
    return this.#mustReload ? undefined : this.#log;
  }

  /** The subscription comes first, then what is read: so nothing happens between the two that neither shows. */
  #receive(event: RoomEvent): void {
    if (this.#known === undefined) {
      if (event.__typename === 'RoomReady') this.#read(false);
      else this.#early.push(event);
      if (this.#early.length > maxEarly) this.#feed?.restart();
      return;
    }
    if (event.__typename !== 'RoomReady') {
      this.#replayed += 1;
      if (this.#isRereading) this.#early.push(event);
      if (!this.#isLive && this.#replayed > maxReplay) this.#reload();
      else this.#apply(event);
      return;
    }
    this.#isLive = true;
    this.#apply(event);
    if (this.#known === undefined) return;
    this.#setStatus('ready');
    // Read marks are not replayed.
    this.#read(false);
  }

  /** Reads the room, with a page where the log does not continue. It tries until it succeeds or the line is lost. */
  #read(isPolling: boolean): void {
    const { environment } = this.#session;
    const isTooSoon = Math.abs(environment.now() - this.#readAt) < refreshMs;
    if (isTooSoon && this.#known !== undefined && this.#isLive && !isPolling) {
      this.#refreshSoon();
      return;
    }
    this.#readAt = environment.now();
    this.#endReading();
    this.#reading += 1;
    const mine = this.#reading;
    const isCurrent = () => mine === this.#reading;
    const run = async () => {
      try {
        // An older part of the history stays as it is.
        this.#isRereading = this.#mustReread && this.#known?.hasNewer === false;
        let reading = await readRoom(this.#session, this.id, this.#known === undefined || this.#isRereading);
        const isBehind = isPolling && this.#known !== undefined && reading.room.seq !== this.#known.seq;
        if (isBehind && isCurrent()) reading = await readRoom(this.#session, this.id, true);
        if (isCurrent()) this.#use(reading);
      } catch (thrown) {
        if (!isCurrent()) return;
        const error = asFairwayError(thrown);
        if (error.code === 'NOT_FOUND') return this.#end();
        this.#cancelRead = this.#session.environment.setTimer(run, error.retryAfterMs ?? refreshMs);
      }
    };
    run().catch(() => undefined);
  }

  #endReading(): void {
    this.#reading += 1;
    this.#movedMarks = [];
    if (this.#isRereading) this.#early = [];
    this.#isRereading = false;
    this.#cancelRead();
  }

  #use({ room, page }: RoomReading): void {
    if (page !== undefined) {
      this.#life += 1;
      [this.#mustReload, this.#mustReread, this.#isRereading] = [false, false, false];
      this.#log = openLog(room.epoch, room.seq, page);
      this.#settle(this.#log.messages);
      this.#isLive = true;
    }
    this.#setRoom(room);
    for (const { epoch, members } of this.#movedMarks) if (epoch === room.epoch) this.#readBy(members);
    this.#movedMarks = [];
    if (this.#firstUnreadId === undefined) this.#firstUnreadId = room.firstUnreadMessage?.id ?? null;
    const early = this.#early;
    this.#early = [];
    for (const event of early) if (this.#known !== undefined) this.#apply(event);
    const seq = this.#log?.seq ?? 0;
    this.#confirmed = this.#confirmed.filter((message) => message.seq > seq);
    if (this.#known !== undefined) this.#setStatus('ready');
    this.#saveSoon();
  }

  #reload(): void {
    this.#mustReload = true;
    this.#feed?.restart();
  }

  #setRoom(room: RoomStateFragment): void {
    if (this.#room !== undefined && this.#room.epoch !== room.epoch) {
      // The marks went back with the log, and what was confirmed may be gone.
      this.#readSeq = 0;
      this.#seen.reset();
      this.#confirmed = [];
    }
    this.#room = room;
    this.#unread = { count: room.unreadCount, seq: room.seq };
    this.#readSeq = Math.max(this.#readSeq, room.viewerMember.lastReadSeq);
    this.#marks = readMarks(room.memberPage);
    this.#setMembers(room.memberPage);
  }

  /** The first page is new; the pages behind it stay while nobody has come or gone. */
  #setMembers(page: MemberPageFragment): void {
    const isSame = page.pageInfo.hasNextPage && page.totalCount === this.#memberCount;
    const before = this.#members;
    this.#memberCount = page.totalCount;
    if (isSame && before.length > page.edges.length) {
      const first = new Map(page.edges.map(({ node }) => [node.user.id, node]));
      this.#members = before.map((member) => first.get(member.user.id) ?? member);
    } else {
      this.#members = [];
      this.#addMembers(page);
    }
    if (JSON.stringify(before) === JSON.stringify(this.#members)) this.#members = before;
  }

  #addMembers({ edges, pageInfo }: MemberPageFragment): void {
    // A member who leaves and rejoins between two pages comes twice.
    const members = new Map(
      [...this.#members, ...edges.map(({ node }) => node)].map((member) => [member.user.id, member]),
    );
    this.#members = [...members.values()];
    this.#memberCursor = pageInfo.hasNextPage ? pageInfo.endCursor : null;
  }

  #apply(event: RoomEvent): void {
    const before = this.#log;
    if (before === undefined) return;
    const { log, consequence } = applyEvent(before, event, this.#isLive);
    this.#log = log;
    // A mark of another epoch is a position in another log.
    if (event.__typename === 'MembersRead' && event.epoch === log.epoch) {
      this.#movedMarks.push({ epoch: event.epoch, members: event.members });
      this.#readBy(event.members);
    }
    if ('message' in event && log !== before) {
      if (this.#loads > 0) this.#changed.set(event.message.id, event.message);
      this.#confirmed = this.#confirmed.filter(({ seq }) => seq > log.seq);
      this.#settle([event.message]);
      const { message } = event;
      if (message.deletedAt !== null) this.#session.forgetMessage(message.id);
      const wasCounted =
        message.seq <= this.#unread.seq && this.#isUnread({ ...message, deletedAt: null }, this.#readSeq);
      if (event.__typename === 'MessageDeleted' && event.seq > this.#unread.seq && wasCounted) this.#unread.count -= 1;
    }
    if (consequence === 'reload') this.#reload();
    if (consequence === 'resume') this.#feed?.restart();
    if (consequence === 'reread') this.#mustReread = true;
    if (consequence === 'refresh' || consequence === 'reread') this.#refreshSoon();
    if (log !== before) this.#saveSoon();
    this.#show();
  }

  #readBy(members: readonly MovedMark[]): void {
    this.#marks = moveMarks(this.#marks, members);
    const own = members.find(({ user }) => user.id === this.#session.viewer.getSnapshot()?.id);
    // On another device.
    if (own === undefined || own.lastReadSeq <= this.#readSeq) return;
    this.#readSeq = own.lastReadSeq;
    this.#refreshSoon();
  }

  #settle(messages: readonly Message[]): void {
    for (const message of messages) this.#session.outbox.settle(this.id, message);
  }

  /** Loads a page and adds it to the log of that time. */
  async #load(
    ask: () => Promise<MessagePageFragment | undefined>,
    add: (log: Log, page: MessagePageFragment) => Log,
  ): Promise<boolean> {
    const life = this.#life;
    this.#loads += 1;
    this.#show();
    try {
      const page = await ask();
      const log = this.#log;
      if (page === undefined || log === undefined || life !== this.#life) return false;
      const edges = page.edges.map(({ node }) => ({ node: { ...node, ...this.#changed.get(node.id) } }));
      this.#log = add(log, { ...page, edges });
      return true;
    } catch (error) {
      asFairwayError(error);
      return false;
    } finally {
      this.#loads -= 1;
      if (this.#loads === 0) this.#changed.clear();
      this.#show();
    }
  }

  #refreshSoon(): void {
    this.#cancelRefresh ??= this.#session.environment.setTimer(() => {
      this.#cancelRefresh = undefined;
      if (this.#isLive) this.#read(false);
    }, refreshMs);
  }

  /** The viewer is no member any more: nothing of the room stays on this device. */
  #end(): void {
    this.#forget();
    this.#feed?.stop();
    this.#typingFeed?.stop();
    this.#draft.forget();
    this.#seen.reset();
    this.#status = 'gone';
    this.#cancelSave?.();
    this.#cancelSave = undefined;
    write(this.#session, async (storage) => {
      await storage.delete('logs', this.id);
      await storage.delete('drafts', this.id);
    });
    this.#show();
  }

  #forget(): void {
    this.#life += 1;
    this.#endReading();
    this.#log = undefined;
    this.#room = undefined;
    this.#marks = noMarks;
    this.#members = [];
    this.#memberCursor = null;
    this.#confirmed = [];
    this.#typing = [];
    this.#readSeq = 0;
    this.#unread = { count: 0, seq: 0 };
    this.#mustReload = false;
  }

  #setStatus(status: RoomStatus): void {
    this.#status = status;
    this.#show();
  }

  #saveSoon(): void {
    this.#cancelSave ??= this.#session.environment.setTimer(() => this.#save(), saveMs);
  }

  #save(): void {
    if (this.#cancelSave === undefined) return;
    this.#cancelSave();
    this.#cancelSave = undefined;
    const [log, room] = [this.#log && storedPart(this.#log, storedMessages), this.#room];
    if (log === undefined || room === undefined) return;
    write(this.#session, async (storage) => {
      await storage.put('logs', this.id, { version: storedVersion, log, room } satisfies StoredRoom);
      const entries = (await storage.entries('logs')) as [string, StoredRoom][];
      const oldest = entries.sort(([, a], [, b]) => (a.room.updatedAt < b.room.updatedAt ? 1 : -1)).slice(storedRooms);
      for (const [roomId] of oldest) await storage.delete('logs', roomId);
    });
  }

  #show(): void {
    const { outbox, viewer } = this.#session;
    const before = this.#store.getSnapshot();
    const [log, room] = [this.#log, this.#room];
    const messages = this.#buildTimeline({
      log,
      confirmed: this.#confirmed,
      operations: outbox.operations.getSnapshot().filter(({ roomId }) => roomId === this.id),
      marks: this.#marks,
      viewer: viewer.getSnapshot(),
      isAdmin: room?.viewerMember.isAdmin ?? false,
      canSend: room?.viewerCanSend ?? true,
    });
    const next: RoomSnapshot = {
      id: this.id,
      status: this.#status,
      room:
        room === undefined ? null : before.room !== null && isSame(before.room, room) ? before.room : toDetails(room),
      messages,
      hasOlder: log?.hasOlder ?? false,
      hasNewer: log?.hasNewer ?? false,
      isLoadingOlder: this.#isLoadingOlder,
      isLoadingNewer: this.#isLoadingNewer,
      firstUnreadId: this.#firstUnreadId ?? null,
      unreadCount: this.#countUnread(),
      typing: this.#typing,
      draft: this.#draft.get(),
      members: this.#members,
      hasMoreMembers: this.#memberCursor !== null,
    };
    const keys = Object.keys(next) as (keyof RoomSnapshot)[];
    if (keys.some((key) => next[key] !== before[key])) this.#store.set(next);
  }

  /** Counted here where the log reaches back to the read mark; otherwise as the server has said, and what came since. */
  #countUnread(): number {
    const [log, room] = [this.#log, this.#room];
    if (log === undefined || room === undefined) return this.#unread.count;
    const from = Math.max(this.#readSeq, room.viewerMember.joinedSeq);
    const isCovered = !log.hasNewer && (!log.hasOlder || (log.messages[0]?.seq ?? 0) <= from + 1);
    const added = [...log.messages, ...log.tail];
    if (isCovered) return added.filter((message) => this.#isUnread(message, from)).length;
    return (
      this.#unread.count + added.filter((message) => this.#isUnread(message, Math.max(from, this.#unread.seq))).length
    );
  }

  #isUnread({ seq, type, sender, deletedAt }: Message, from: number): boolean {
    const isOwn = sender.id === this.#session.viewer.getSnapshot()?.id;
    return seq > from && type !== 'SYSTEM' && deletedAt === null && !isOwn;
  }
}

function assertId(id: unknown): void {
  if (typeof id !== 'string' || id === '') throw new FairwayError('BAD_USER_INPUT', 'There is no id of a message');
}

function toDetails({
  memberPage: _m,
  firstUnreadMessage: _f,
  seq: _s,
  epoch: _e,
  unreadCount: _u,
  ...room
}: RoomStateFragment): RoomDetails {
  return room;
}

const isSame = (details: RoomDetails, room: RoomStateFragment): boolean =>
  JSON.stringify(details) === JSON.stringify(toDetails(room));
