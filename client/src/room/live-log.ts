import { createFeed, type Feed } from '../connection/feed.js';
import { asFairwayError } from '../errors.js';
import { RoomEventsDocument, type RoomStateFragment } from '../operations/generated/documents.js';
import type { Session } from '../session.js';
import { applyEvent, type Entry, type Log, type Message, openLog, type RoomEvent } from './log.js';
import { type RoomReading, readRoom } from './read-room.js';
import type { MovedMark } from './read-state.js';

/** The room itself is read again at most this often. */
const refreshMs = 1_000;
/** Farther behind than this, the newest page is faster than a replay. */
const maxReplay = 500;
/** More events than this do not wait for a page. */
const maxEarly = 1_000;

/** Is told what happens in the room. */
export interface LiveLogListener {
  /** The room was read. */
  onRoom(room: RoomStateFragment): void;
  /** Read marks have moved. */
  onMarks(members: readonly MovedMark[]): void;
  /** An entry was applied to the log. */
  onEntry(entry: Entry): void;
  /** A page was read. */
  onPage(messages: readonly Message[]): void;
  /** The log, or its status, is another one. */
  onChange(): void;
  /** The viewer is no member, or there is no room. */
  onGone(): void;
}

/**
 * The log of a room, kept current while it runs: it subscribes behind what is known, and reads what a replay does not bring.
 * The subscription comes first and the reading then, so that nothing happens between the two that neither shows.
 */
export class LiveLog {
  log: Log | undefined;
  status: 'loading' | 'ready' | 'stale' = 'loading';
  /** Counts the logs: a page for an earlier one is ignored. */
  life = 0;
  #feed: Feed | undefined;
  /** Whether the replay has ended: events are live. */
  #isLive = false;
  /** How many entries the replay has brought. */
  #replayed = 0;
  /** The events that arrive while the page before them is being read. */
  #early: RoomEvent[] = [];
  /** Whether the subscription has begun without a position. */
  #isFromNothing = false;
  /** Whether the log must be read anew, not continued. */
  #mustReload = false;
  /** Whether the newest page must be read again, because an event was not understood. */
  #mustReread = false;
  /** Whether a page is on its way: what arrives meanwhile is applied to it, too. */
  #isRereading = false;
  /** Counts the readings of the room: only the newest one counts. */
  #reading = 0;
  /** The marks that move while the room is being read, whose answer may be older. */
  #moved: { readonly epoch: string; readonly members: readonly MovedMark[] }[] = [];
  #readAt = 0;
  #cancelRead = () => {};
  #cancelRefresh: (() => void) | undefined;

  constructor(
    private readonly session: Session,
    private readonly roomId: string,
    private readonly listener: LiveLogListener,
  ) {}

  start(): void {
    const { environment, connection } = this.session;
    this.#feed = createFeed({
      environment,
      connection,
      prepare: async () => {
        const log = this.#known;
        this.#isFromNothing = log === undefined;
        // A page that is on its way is older than where this subscription may begin.
        this.#endReading();
        [this.#isLive, this.#replayed, this.#early] = [false, 0, []];
        const variables = { roomId: this.roomId, afterSeq: log?.seq ?? null, epoch: log?.epoch ?? null };
        return { document: RoomEventsDocument, variables };
      },
      next: ({ roomEvents }) => this.#receive(roomEvents),
      polled: () => this.#read(true),
      stale: () => {
        this.#isLive = false;
        this.#endReading();
        if (this.status === 'ready') this.#setStatus('stale');
      },
      gone: () => this.listener.onGone(),
    });
  }

  stop(): void {
    this.#feed?.stop();
    this.#feed = undefined;
    this.#isFromNothing = false;
    this.#cancelRefresh?.();
    this.#cancelRefresh = undefined;
    this.#endReading();
    this.#isLive = false;
    if (this.status === 'ready') this.status = 'stale';
  }

  /** Begins with what was stored. A subscription that has begun without it brings nothing from behind it. */
  adopt(log: Log): void {
    this.log = log;
    this.status = 'stale';
    this.#mustReload = this.#isFromNothing;
  }

  /** Reads the newest page, and continues from there. */
  reload(): void {
    this.#mustReload = true;
    this.#feed?.restart();
  }

  /** Reads the newest page in place of another part of the history; what arrives meanwhile is applied to it. */
  showLatest(): void {
    if (!this.#isLive) {
      this.reload();
      return;
    }
    [this.#mustReload, this.#early] = [true, []];
    this.#read(false);
  }

  /** Reads the room again, a little later. */
  refreshSoon(): void {
    this.#cancelRefresh ??= this.session.environment.setTimer(() => {
      this.#cancelRefresh = undefined;
      if (this.#isLive) this.#read(false);
    }, refreshMs);
  }

  forget(): void {
    this.life += 1;
    this.#endReading();
    this.log = undefined;
    this.status = 'loading';
    [this.#mustReload, this.#mustReread] = [false, false];
  }

  /** The log to continue; undefined if a page must be read first. */
  get #known(): Log | undefined {
    return this.#mustReload ? undefined : this.log;
  }

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
      if (!this.#isLive && this.#replayed > maxReplay) this.reload();
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

  #apply(event: RoomEvent): void {
    const before = this.log;
    if (before === undefined) return;
    const { log, consequence } = applyEvent(before, event, this.#isLive);
    this.log = log;
    // A mark of another epoch is a position in another log.
    if (event.__typename === 'MembersRead' && event.epoch === log.epoch) {
      this.#moved.push({ epoch: event.epoch, members: event.members });
      this.listener.onMarks(event.members);
    }
    if ('message' in event && log !== before) this.listener.onEntry(event);
    if (consequence === 'reload') this.reload();
    if (consequence === 'resume') this.#feed?.restart();
    if (consequence === 'reread') this.#mustReread = true;
    if (consequence === 'refresh' || consequence === 'reread') this.refreshSoon();
    this.listener.onChange();
  }

  /** Reads the room, with a page where the log does not continue. It tries until it succeeds or the line is lost. */
  #read(isPolling: boolean): void {
    const { environment } = this.session;
    const isTooSoon = Math.abs(environment.now() - this.#readAt) < refreshMs;
    if (isTooSoon && this.#known !== undefined && this.#isLive && !isPolling) {
      this.refreshSoon();
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
        let reading = await readRoom(this.session, this.roomId, this.#known === undefined || this.#isRereading);
        const isBehind = isPolling && this.#known !== undefined && reading.room.seq !== this.#known.seq;
        if (isBehind && isCurrent()) reading = await readRoom(this.session, this.roomId, true);
        if (isCurrent()) this.#use(reading);
      } catch (thrown) {
        if (!isCurrent()) return;
        const error = asFairwayError(thrown);
        if (error.code === 'NOT_FOUND') this.listener.onGone();
        else this.#cancelRead = environment.setTimer(run, error.retryAfterMs ?? refreshMs);
      }
    };
    run().catch(() => undefined);
  }

  #endReading(): void {
    this.#reading += 1;
    this.#moved = [];
    if (this.#isRereading) this.#early = [];
    this.#isRereading = false;
    this.#cancelRead();
  }

  #use({ room, page }: RoomReading): void {
    if (page !== undefined) {
      this.life += 1;
      [this.#mustReload, this.#mustReread, this.#isRereading] = [false, false, false];
      this.log = openLog(room.epoch, room.seq, page);
      this.#isLive = true;
      this.listener.onPage(this.log.messages);
    }
    this.listener.onRoom(room);
    const [moved, early] = [this.#moved, this.#early];
    [this.#moved, this.#early] = [[], []];
    for (const { epoch, members } of moved) if (epoch === room.epoch) this.listener.onMarks(members);
    for (const event of early) if (this.#known !== undefined) this.#apply(event);
    if (this.#known !== undefined) this.status = 'ready';
    this.listener.onChange();
  }

  #setStatus(status: 'ready' | 'stale'): void {
    this.status = status;
    this.listener.onChange();
  }
}
