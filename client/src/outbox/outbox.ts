import { Backoff } from '../connection/backoff.js';
import type { Connection } from '../connection/connection.js';
import type { Channel, Environment, Lock } from '../environment/environment.js';
import { FairwayError } from '../errors.js';
import type { Message } from '../room/log.js';
import type { Storage } from '../storage/storage.js';
import { call, createStore, type MutableStore } from '../store.js';
import { type Delivery, deliver } from './delivery.js';
import type { Files } from './files.js';
import {
  hasFiles,
  isOperation,
  messageIdOf,
  type OutboxOperation,
  type Outcome,
  type QueuedOperation,
  queueOf,
} from './operation.js';

/** More operations than this are not kept. */
export const maxOperations = 500;
/** An operation that has failed this often is given up until it is retried. */
const maxAttempts = 5;
/** A tab that holds a delivery longer than this is frozen. */
const stealAfterMs = 10_000;
/** One that uploads takes longer. */
const uploadWithinMs = 300_000;
/** The place of operations that the storage has not numbered yet: behind all others. */
const provisional = 2 ** 50;

/** An operation before it is queued. */
export type NewOperation = OutboxOperation extends infer One
  ? One extends OutboxOperation
    ? Omit<One, 'createdAt' | 'attempts' | 'error'>
    : never
  : never;

interface OutboxOptions {
  readonly environment: Environment;
  readonly connection: Connection;
  readonly files: Files | undefined;
  /** The epoch of a room's log, if it is known here. */
  epochOf(roomId: string): string | undefined;
  /** When a message was last edited, null if never; undefined if it is not known here. */
  editedAtOf(roomId: string, messageId: string): string | null | undefined;
  /** Called in every tab when an operation has ended, before it leaves the outbox. */
  onOutcome(outcome: Outcome): void;
}

/** What tabs say to each other. */
type Notice = { readonly kind: 'changed' } | { readonly kind: 'ended'; readonly outcome: Outcome };

/**
 * What the user has done and the server has not confirmed: kept in the storage until it has, delivered by one tab at a time, in
 * order for each room. One that is given up holds back what comes after it in its room.
 */
export class Outbox {
  readonly operations: MutableStore<readonly QueuedOperation[]>;
  readonly #store: MutableStore<readonly QueuedOperation[]>;
  /** The queues that are being delivered for the present user. */
  #running = new Set<string>();
  /** The operations that the storage is still numbering. */
  readonly #unnumbered = new Map<string, Promise<void>>();
  readonly #ended = new AbortController();
  readonly #backoff: Backoff;
  #storage: Storage | undefined;
  #name = '';
  #channel: Channel | undefined;
  #wake = new Set<() => void>();
  #added = 0;
  /** Counts what changes here: what was read of the storage before is old. */
  #changes = 0;
  #loads = 0;

  constructor(private readonly options: OutboxOptions) {
    this.#store = createStore<readonly QueuedOperation[]>([]);
    this.operations = this.#store;
    this.#backoff = new Backoff(options.environment);
  }

  /** Loads what is stored of this user, and begins to deliver. What was added before is stored now. */
  async open(storage: Storage, name: string): Promise<void> {
    this.#channel?.close();
    [this.#storage, this.#name] = [storage, name];
    this.#channel = this.options.environment.channel(`${name}:outbox`, (notice) => this.#hear(notice as Notice));
    // In their order, and before anything that is added while the storage is being read.
    for (const { order: _order, ...operation } of this.#store.getSnapshot()) this.#number(operation, storage);
    await this.#load(storage);
  }

  /** Forgets what is in memory; the storage keeps it. */
  leave(): void {
    this.#channel?.close();
    this.#channel = undefined;
    this.#storage = undefined;
    this.#running = new Set();
    this.#unnumbered.clear();
    this.#store.set([]);
    this.wake();
  }

  /** @throws {FairwayError} OUTBOX_FULL; SIGNED_OUT if nobody is signed in who could have done it */
  add(operation: NewOperation): void {
    if (this.#ended.signal.aborted) throw new FairwayError('CLOSED', 'The client is closed');
    if (this.#storage === undefined && this.options.connection.state.getSnapshot().status === 'signedOut') {
      throw new FairwayError('SIGNED_OUT', 'Nobody is signed in');
    }
    if (this.#store.getSnapshot().length >= maxOperations) {
      throw new FairwayError('OUTBOX_FULL', `At most ${maxOperations} operations may wait`);
    }
    const queued = { ...operation, createdAt: this.options.environment.now(), attempts: 0, error: null };
    // Only the newest mark of a room counts.
    if (operation.kind === 'read') this.#dropReads(operation.roomId);
    this.#enqueue(queued as OutboxOperation);
  }

  /** Delivers an operation that was given up, and what waits behind it; also by the id of its message. */
  retry(id: string): void {
    const operation = this.#findAny(id);
    if (operation === undefined || operation.error === null) return;
    this.replace({ ...operation, attempts: 0, error: null });
    this.#start(queueOf(operation));
  }

  /** Delivers a send that was given up for a file, without these files. */
  retryWithout(id: string, fileIds: readonly string[]): void {
    const operation = this.#find(id);
    // Given up for anything else, it may be there with all of its files.
    if (operation === undefined || !hasFiles(operation) || operation.error?.startsWith('FILE_') !== true) return;
    const files = operation.files.filter((file) => !fileIds.includes(file.id));
    if (files.length === operation.files.length) return;
    if (files.length === 0 && operation.content === '') {
      this.discard(id);
      return;
    }
    this.options.files?.drop({ ...operation, files: operation.files.filter((file) => !files.includes(file)) });
    const { files: _files, ...text } = operation;
    this.replace(files.length > 0 ? { ...operation, files } : { ...text, type: 'TEXT' });
    this.retry(id);
  }

  /** Removes an operation, with the changes of its message; also by the id of its message. It may have reached the server. */
  discard(id: string): void {
    const operation = this.#findAny(id);
    if (operation === undefined) return;
    const isSend = operation.kind === 'send';
    for (const other of this.#store.getSnapshot()) {
      if (other.id === operation.id || (isSend && other.roomId === operation.roomId && messageIdOf(other) === id))
        this.#remove(other);
    }
  }

  /** The server has this message: its send is done, whoever delivered it. */
  settle(roomId: string, message: Message): void {
    const operation = this.#find(message.id);
    if (operation?.kind === 'send' && operation.roomId === roomId) this.#remove(operation);
  }

  /** Whether the send of this message has never been attempted, or was given up. */
  isUnsent(id: string): boolean {
    const operation = this.#find(id);
    const isHead = operation !== undefined && this.#head(queueOf(operation))?.id === id;
    return operation?.kind === 'send' && (operation.error !== null || (operation.attempts === 0 && !isHead));
  }

  /** Reads again what is stored, and delivers it: another tab, or a database that is back, may have more. */
  reload(): void {
    const storage = this.#storage;
    if (storage !== undefined) this.#load(storage).catch(() => undefined);
  }

  /** The network is back: those who wait try at once. */
  wake(): void {
    const waiting = [...this.#wake];
    this.#wake.clear();
    this.#backoff.reset();
    for (const wake of waiting) wake();
  }

  close(): void {
    this.#ended.abort();
    this.#channel?.close();
    this.wake();
  }

  #find(id: string): QueuedOperation | undefined {
    return this.#store.getSnapshot().find((operation) => operation.id === id);
  }

  /** An operation, or else the change of that message that was given up. */
  #findAny(id: string): QueuedOperation | undefined {
    return this.#find(id) ?? this.#store.getSnapshot().find((one) => one.error !== null && messageIdOf(one) === id);
  }

  #head(queue: string): QueuedOperation | undefined {
    return this.#store.getSnapshot().find((operation) => queueOf(operation) === queue);
  }

  #set(operations: readonly QueuedOperation[]): void {
    this.#changes += 1;
    this.#store.set([...operations].sort((a, b) => a.order - b.order));
  }

  /** Shows the operation at once, and delivers it once it is stored. */
  #enqueue(operation: OutboxOperation): void {
    this.#added += 1;
    const order = provisional + this.#added;
    this.#set([...this.#store.getSnapshot(), { ...operation, order }]);
    if (this.#storage !== undefined) this.#number(operation, this.#storage);
  }

  /** Stores an operation, which gives it its place among those of all tabs. */
  #number(operation: OutboxOperation, storage: Storage): void {
    // Together with its place: what is written after it stays behind it, however long the bytes take.
    if (hasFiles(operation)) this.options.files?.keep(operation, storage);
    const stored = storage.append(operation).then((number) => {
      this.#unnumbered.delete(operation.id);
      // Another user is signed in: it waits for its own.
      if (storage !== this.#storage) return undefined;
      const now = this.#store.getSnapshot();
      // Discarded or settled meanwhile.
      if (!now.some(({ id }) => id === operation.id)) return storage.delete('outbox', number);
      this.#set(now.map((one) => (one.id === operation.id ? { ...one, order: number } : one)));
      this.#say({ kind: 'changed' });
      this.#start(queueOf(operation));
      return undefined;
    });
    this.#unnumbered.set(operation.id, stored);
    stored.catch(() => undefined);
  }

  /** Changes an operation in its place, also in the storage. */
  replace(operation: QueuedOperation): void {
    this.#set(this.#store.getSnapshot().map((one) => (one.id === operation.id ? operation : one)));
    const { order, ...value } = operation;
    if (order >= provisional) return;
    this.#write((storage) => storage.put('outbox', order, value));
  }

  #remove(operation: QueuedOperation): void {
    this.#set(this.#store.getSnapshot().filter(({ id }) => id !== operation.id));
    if (operation.order < provisional) this.#write((storage) => storage.delete('outbox', operation.order));
    if (hasFiles(operation)) this.options.files?.drop(operation);
    // What waited behind it may go.
    this.#start(queueOf(operation));
  }

  #write(use: (storage: Storage) => Promise<void>): void {
    const storage = this.#storage;
    if (storage === undefined) return;
    use(storage).then(
      () => this.#say({ kind: 'changed' }),
      () => undefined,
    );
  }

  #dropReads(roomId: string): void {
    const queue = `${roomId}:read`;
    for (const operation of this.#store.getSnapshot()) {
      if (queueOf(operation) === queue && !this.#running.has(queue)) this.#remove(operation);
    }
  }

  /** Reads what is stored, until nothing has changed meanwhile, and delivers it; what has no number yet stays. */
  async #load(storage: Storage): Promise<void> {
    this.#loads += 1;
    const mine = this.#loads;
    let entries: [IDBValidKey, unknown][];
    let changes: number;
    do {
      changes = this.#changes;
      entries = await storage.entries('outbox');
      // Another user is signed in, or a later reading knows more.
      if (storage !== this.#storage || mine !== this.#loads) return;
    } while (changes !== this.#changes);
    const stored: QueuedOperation[] = [];
    for (const [order, value] of entries) {
      if (isOperation(value)) stored.push({ ...value, order: Number(order) });
      else storage.delete('outbox', order).catch(() => undefined);
    }
    const ids = new Set(stored.map(({ id }) => id));
    const unnumbered = this.#store.getSnapshot().filter(({ id, order }) => order >= provisional && !ids.has(id));
    this.#set([...stored, ...(this.#unnumbered.size > 0 ? unnumbered : [])]);
    for (const queue of new Set(this.#store.getSnapshot().map(queueOf))) this.#start(queue);
  }

  #hear(notice: Notice): void {
    if (this.#storage === undefined || typeof notice !== 'object' || notice === null) return;
    // Another version of the app may say something else.
    if (notice.kind === 'ended' && isOperation(notice.outcome?.operation)) {
      call(() => this.options.onOutcome(notice.outcome));
    }
    this.reload();
  }

  #say(notice: Notice): void {
    this.#channel?.post(notice);
  }

  #start(queue: string): void {
    if (this.#running.has(queue) || this.#storage === undefined || this.#ended.signal.aborted) return;
    const running = this.#running;
    running.add(queue);
    this.#run(queue, this.#storage)
      .catch(() => undefined)
      .finally(() => {
        running.delete(queue);
        // It may have come when the one before it had just ended.
        const head = this.#head(queue);
        if (running === this.#running && head?.error === null && head.order < provisional) this.#start(queue);
      });
  }

  async #run(queue: string, storage: Storage): Promise<void> {
    const { environment } = this.options;
    while (!this.#ended.signal.aborted && storage === this.#storage) {
      const head = this.#head(queue);
      if (head === undefined || head.error !== null) return;
      await this.#unnumbered.get(head.id);
      // It is delivered once the storage has numbered it.
      if ((this.#head(queue)?.order ?? 0) >= provisional) return;
      const lock = await environment.lock(`${this.#name}:deliver:${queue}`, {
        stealAfterMs: hasFiles(head) ? uploadWithinMs : stealAfterMs,
        signal: this.#ended.signal,
      });
      if (lock === undefined) return;
      const pause = await this.#deliverHead(queue, storage, lock).finally(() => lock.release());
      if (pause !== undefined) await this.#pause(pause);
    }
  }

  /** Delivers the first operation of a queue as the storage has it; returns a pause before the next attempt. */
  async #deliverHead(queue: string, storage: Storage, lock: Lock): Promise<{ ms: number } | undefined> {
    const head = this.#head(queue);
    if (head === undefined) return undefined;
    const stored = (await storage.get('outbox', head.order)) as OutboxOperation | undefined;
    // Another tab has delivered it, or given it up, while this one waited for the lock.
    if (stored === undefined || stored.id !== head.id || stored.error !== null) {
      await this.#load(storage);
      return undefined;
    }
    const operation = { ...stored, order: head.order };
    if (storage !== this.#storage) return undefined;
    const epoch = this.options.epochOf(operation.roomId);
    const delivery = await deliver({ ...this.options, ended: this.#ended.signal }, operation);
    if (storage !== this.#storage) return undefined;
    if (delivery.state !== 'done') return this.#postpone(operation, delivery, lock.isHeld());
    const { message } = delivery;
    this.#end({ operation, ...(message && { message }), ...(epoch !== undefined && { epoch }) });
    return undefined;
  }

  #postpone(
    operation: QueuedOperation,
    delivery: Exclude<Delivery, { state: 'done' }>,
    isHeld: boolean,
  ): { ms: number } | undefined {
    const isWaiting = this.#find(operation.id) !== undefined;
    // Another tab has taken over, or the user has discarded it.
    if (!isHeld || !isWaiting) return undefined;
    if (delivery.state === 'refused') {
      // Nobody can do anything about a refused mark.
      if (operation.kind === 'read') this.#end({ operation, isRefused: true });
      else this.replace({ ...operation, error: delivery.code });
      return undefined;
    }
    const isFailure = delivery.state === 'later' && delivery.isFailure;
    const attempts = operation.attempts + Number(isFailure);
    // A mark is never given up: there is one for each room, and nobody would retry it.
    if (attempts >= maxAttempts && operation.kind !== 'read') {
      this.replace({ ...operation, attempts, error: 'UNAVAILABLE' });
      return undefined;
    }
    if (isFailure) this.replace({ ...operation, attempts });
    return { ms: (delivery.state === 'later' ? delivery.afterMs : undefined) ?? this.#backoff.next() };
  }

  /** Tells the end of an operation in every tab, and forgets it. */
  #end(outcome: Outcome): void {
    this.options.onOutcome(outcome);
    const operation = this.#find(outcome.operation.id);
    if (operation !== undefined) this.#remove(operation);
    this.#say({ kind: 'ended', outcome });
  }

  /** Waits, or until the network is back. */
  #pause({ ms }: { ms: number }): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        cancel();
        this.#wake.delete(wake);
        resolve();
      };
      const cancel = this.options.environment.setTimer(wake, ms);
      this.#wake.add(wake);
      if (this.#ended.signal.aborted) wake();
    });
  }
}
