import { FairwayError } from '../errors.js';
import { createLinger, type Linger } from '../linger.js';
import { LeaveRoomDocument, type MessageType, type RoomStateFragment } from '../operations/generated/documents.js';
import type { FileToSend } from '../outbox/files.js';
import type { QueuedFile } from '../outbox/operation.js';
import type { NewOperation } from '../outbox/outbox.js';
import type { Session } from '../session.js';
import { createLazyStore, type Store } from '../store.js';
import { createDraft } from './draft.js';
import { History } from './history.js';
import { LiveLog } from './live-log.js';
import { type Log, type Message, messageOf, replace, versionOf } from './log.js';
import { type Member, Membership } from './membership.js';
import { gone } from './read-room.js';
import { createSeen } from './seen.js';
import { eraseRoom, readStoredRoom, storeRoom, trimLog } from './stored-room.js';
import { createTimeline, type TimelineMessage } from './timeline.js';
import { createTypingSignal, followTyping, type TypingUser } from './typing.js';

export type { Member } from './membership.js';

/** `stale` shows what is known while the connection is being restored. `gone`: the viewer is no member, or there is no room. */
export type RoomStatus = 'loading' | 'ready' | 'stale' | 'gone';

/** What is known of a room itself. */
export type RoomDetails = Omit<
  RoomStateFragment,
  'memberPage' | 'firstUnreadMessage' | 'seq' | 'epoch' | 'unreadCount'
>;

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
  /**
   * The message above which the line "new" is drawn; it stays where it was when the room was opened. Undefined until the room
   * was read.
   */
  readonly firstUnreadId: string | null | undefined;
  readonly unreadCount: number;
  readonly typing: readonly TypingUser[];
  readonly draft: string;
  /** The longest member first; `loadMoreMembers` reads the others. */
  readonly members: readonly Member[];
  readonly hasMoreMembers: boolean;
}

/** What has changed is written after this time. */
const saveMs = 1_000;
/** Of a room that nobody watches, no event says that they are known. */
const maxConfirmed = 100;

/** One room: its state, live while somebody is subscribed to it, and what the viewer can do there. */
export class Room implements Store<RoomSnapshot> {
  readonly #session: Session;
  readonly #store;
  readonly #linger: Linger;
  readonly #live: LiveLog;
  readonly #history: History;
  readonly #membership: Membership;
  readonly #buildTimeline = createTimeline();
  readonly #draft;
  readonly #seen;
  readonly #typingSignal;
  #typing: readonly TypingUser[] = [];
  /** Messages that the server has confirmed before their events have arrived, and the epoch in which it did so. */
  #confirmed: readonly { readonly message: Message; readonly epoch: string | undefined }[] = [];
  #firstUnreadId: string | null | undefined;
  #isGone = false;
  #isWatched = false;
  /** Whether it begins again when the next user is known. */
  #isToRestart = false;
  #cancelSave: (() => void) | undefined;
  #stopTyping = () => {};
  #stopListening = () => {};

  constructor(
    session: Session,
    readonly id: string,
  ) {
    this.#session = session;
    this.#store = createLazyStore<RoomSnapshot>(
      {
        id,
        status: 'loading',
        room: null,
        messages: [],
        hasOlder: false,
        hasNewer: false,
        isLoadingOlder: false,
        isLoadingNewer: false,
        firstUnreadId: undefined,
        unreadCount: 0,
        typing: [],
        draft: '',
        members: [],
        hasMoreMembers: false,
      },
      (before) => this.#build(before),
      (isWatched) => {
        // Who comes back finds another line "new".
        this.#firstUnreadId = undefined;
        if (isWatched) this.#live.refreshSoon();
        else this.#show();
        this.#linger.setWatched(isWatched);
      },
    );
    this.#linger = createLinger(
      session.environment,
      () => this.#start(),
      () => this.#stop(),
    );
    this.#membership = new Membership(session, id);
    this.#live = new LiveLog(session, id, {
      onRoom: (room) => this.#setRoom(room),
      onMarks: (members) => {
        if (this.#membership.move(members)) this.#live.refreshSoon();
      },
      onEntry: (entry) => {
        const { __typename, seq } = entry;
        const message = messageOf(entry);
        this.#history.note(message);
        this.#settle([message]);
        if (message.deletedAt !== null) session.forgetMessage(message.id);
        if (__typename === 'MessageDeleted') this.#membership.countDeleted(message, seq);
        this.#saveSoon();
      },
      onPage: (messages) => this.#settle(messages),
      onChange: () => this.#show(),
      onGone: () => this.#end(),
    });
    this.#history = new History(session, id, this.#live, () => this.#show());
    this.#draft = createDraft(session, id, () => this.#show());
    this.#seen = createSeen(session, id, (seq) => {
      this.#membership.readSeq = Math.max(this.#membership.readSeq, seq);
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
    return this.#send({ type, content });
  }

  /**
   * Sends files as one message, in this order. Their bytes are kept on this device until it is sent. Returns its id.
   * @throws {FairwayError} as `send`; FILE_TOO_LARGE
   */
  sendFiles(files: readonly (File | FileToSend)[], caption = ''): string {
    if (caption !== '') this.#assertContent(caption);
    if (this.#session.files === undefined) throw new FairwayError('BAD_USER_INPUT', 'The client has no `files`');
    return this.#send({ ...this.#session.files.add(files), content: caption });
  }

  #send(message: { type: MessageType; content: string; files?: readonly QueuedFile[] }): string {
    if (this.#isGone) throw gone();
    const { content } = message;
    const id = this.#session.environment.uuid();
    this.#session.start();
    this.#session.outbox.add({ kind: 'send', id, roomId: this.id, ...message } as NewOperation);
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
  loadOlder(): Promise<boolean> {
    return this.#history.loadOlder();
  }

  /** Loads the page after the last message, where an older part of the history is shown. */
  loadNewer(): Promise<boolean> {
    return this.#history.loadNewer();
  }

  /** Shows the part of the history around a message. Resolves with false if it could not be loaded. */
  goTo(messageId: string): Promise<boolean> {
    return this.#history.goTo(messageId);
  }

  /** Shows the newest messages again. */
  goToLatest(): void {
    if (this.#live.log?.hasNewer === true) this.#live.showLatest();
  }

  /** Says that a message is in view. It counts as read if the page is visible and focused. */
  see(messageId: string): void {
    const message = this.#live.log?.messages.find(({ id }) => id === messageId);
    if (message !== undefined && message.seq > this.#membership.readSeq) this.#seen.see(message);
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
    const isLoaded = await this.#membership.loadMore();
    this.#show();
    return isLoaded;
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
    return this.#live.log;
  }

  /** When a message was last edited, null if never; undefined if it is not known here. */
  editedAtOf(messageId: string): string | null | undefined {
    const { log } = this.#live;
    const ahead = this.#confirmed.filter((one) => isAhead(one, log)).map(({ message }) => message);
    const messages = [...(log?.messages ?? []), ...ahead];
    return messages.find(({ id }) => id === messageId)?.editedAt;
  }

  /** The viewer may be a member again of a room that was gone. */
  returnTo(): void {
    if (!this.#isGone || !this.#isWatched) return;
    this.#stop();
    this.#start();
    this.#show();
  }

  /** The outbox has confirmed a message of this room, whose event may still be on its way. */
  confirm(message: Message, epoch: string | undefined): void {
    const { log } = this.#live;
    const known = log?.messages.find(({ id }) => id === message.id);
    if (known === undefined) {
      // Of a room that is not known yet, only what is new belongs to its end.
      if (log === undefined && (message.editedAt !== null || message.deletedAt !== null)) return;
      const others = this.#confirmed.filter((one) => one.message.id !== message.id && isAhead(one, log));
      this.#confirmed = [...others, { message, epoch }].slice(-maxConfirmed);
    } else if (log !== undefined && (epoch ?? log.epoch) === log.epoch && versionOf(message) > versionOf(known)) {
      this.#live.log = { ...replace(log, message), isAhead: true };
    }
    this.#show();
  }

  /** The server has refused the viewer's read mark: it is where the server has it. */
  unsee(): void {
    this.#membership.readSeq = 0;
    this.#seen.reset();
    this.#live.refreshSoon();
  }

  /** Builds the snapshot again: the viewer has changed. */
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
    const { maxContentLength } = this.#session.limits();
    if (typeof content !== 'string' || content.trim() === '') {
      throw new FairwayError('BAD_USER_INPUT', 'A message needs a text');
    }
    if ([...content].length > maxContentLength) {
      throw new FairwayError('BAD_USER_INPUT', `A message has at most ${maxContentLength} characters`);
    }
  }

  #start(): void {
    [this.#isWatched, this.#isGone, this.#firstUnreadId] = [true, false, undefined];
    this.#session.start();
    this.#restore().catch(() => {
      // Damaged: it is read again.
      this.#forget();
      eraseRoom(this.#session, this.id);
    });
    this.#live.start();
    const typing = followTyping(this.#session, this.id, (users) => {
      this.#typing = users;
      this.#show();
    });
    this.#stopTyping = () => typing.stop();
    this.#stopListening = this.#session.outbox.operations.subscribe(() => this.#show());
  }

  #stop(): void {
    [this.#isWatched, this.#isToRestart] = [false, false];
    this.#seen.stop();
    this.#draft.flush();
    this.#save();
    this.#live.stop();
    this.#stopTyping();
    this.#stopListening();
    this.#typing = [];
    // A room that nobody looks at keeps what it would store.
    this.#live.log = this.#live.log && trimLog(this.#live.log);
    this.#show();
  }

  /** Shows what is stored until the server has answered. */
  async #restore(): Promise<void> {
    const { life } = this.#live;
    await this.#draft.load();
    const stored = await readStoredRoom(this.#session, this.id);
    if (stored === undefined || life !== this.#live.life || this.#live.log !== undefined) return;
    this.#live.adopt(stored.log);
    this.#membership.set(stored.room);
    this.#show();
  }

  #setRoom(room: RoomStateFragment): void {
    if (this.#membership.set(room)) {
      // The marks went back with the log, and what was confirmed may be gone.
      this.#seen.reset();
      this.#confirmed = [];
    }
    if (this.#firstUnreadId === undefined) this.#firstUnreadId = room.firstUnreadMessage?.id ?? null;
    this.#saveSoon();
  }

  #settle(messages: readonly Message[]): void {
    for (const message of messages) this.#session.outbox.settle(this.id, message);
  }

  /** The viewer is no member any more: nothing of the room stays on this device. */
  #end(): void {
    this.#live.stop();
    this.#stopTyping();
    this.#forget();
    this.#draft.forget();
    this.#seen.reset();
    this.#isGone = true;
    this.#cancelSave?.();
    this.#cancelSave = undefined;
    eraseRoom(this.#session, this.id);
    this.#show();
  }

  #forget(): void {
    this.#live.forget();
    this.#membership.forget();
    [this.#confirmed, this.#typing] = [[], []];
    this.#isGone = false;
  }

  #saveSoon(): void {
    this.#cancelSave ??= this.#session.environment.setTimer(() => this.#save(), saveMs);
  }

  #save(): void {
    if (this.#cancelSave === undefined) return;
    this.#cancelSave();
    this.#cancelSave = undefined;
    const [{ log }, { room }] = [this.#live, this.#membership];
    if (log !== undefined && room !== undefined) storeRoom(this.#session, log, room);
  }

  #show(): void {
    this.#store.touch();
  }

  #build(before: RoomSnapshot): RoomSnapshot {
    const { outbox, viewer } = this.#session;
    const [{ log, status }, { room, marks, members, hasMore }] = [this.#live, this.#membership];
    const messages = this.#buildTimeline({
      log,
      confirmed: this.#confirmed.filter((one) => isAhead(one, log)).map(({ message }) => message),
      operations: outbox.operations.getSnapshot().filter(({ roomId }) => roomId === this.id),
      marks,
      viewer: viewer.getSnapshot(),
      isAdmin: room?.viewerMember.isAdmin ?? false,
      canSend: room?.viewerCanSend ?? true,
      files: this.#session.files,
    });
    const next: RoomSnapshot = {
      id: this.id,
      status: this.#isGone ? 'gone' : status,
      room: room === undefined ? null : keepEqual(before.room, toDetails(room)),
      messages,
      hasOlder: log?.hasOlder ?? false,
      hasNewer: log?.hasNewer ?? false,
      isLoadingOlder: this.#history.isLoadingOlder,
      isLoadingNewer: this.#history.isLoadingNewer,
      firstUnreadId: this.#firstUnreadId,
      unreadCount: this.#membership.countUnread(log),
      typing: this.#typing,
      draft: this.#draft.get(),
      members,
      hasMoreMembers: hasMore,
    };
    const keys = Object.keys(next) as (keyof RoomSnapshot)[];
    return keys.some((key) => next[key] !== before[key]) ? next : before;
  }
}

/**
 * Whether the log does not show a confirmed message yet; where there is no log, it shows nothing. Of which epoch a message is
 * that was sent without one, nobody knows: then its event shows it.
 */
const isAhead = ({ message, epoch }: { message: Message; epoch: string | undefined }, log: Log | undefined): boolean =>
  log === undefined || (message.seq > log.seq && epoch === log.epoch);

function assertId(id: unknown): void {
  if (typeof id !== 'string' || id === '') throw new FairwayError('BAD_USER_INPUT', 'A message needs an id');
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

/** The same object as before if nothing in it has changed. */
const keepEqual = <Value>(before: Value, now: Value): Value =>
  JSON.stringify(before) === JSON.stringify(now) ? before : now;
