import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import { Allowance } from '../../domain/allowance.js';
import { ChatError } from '../../domain/errors.js';
import type { Recipient, UnreadAnswers } from '../graphql/limits/unread-answers.js';
import { closeCodes } from './close-codes.js';
import { createTextFrame } from './text-frame.js';

/** After a close frame that the peer does not answer. */
const closeTimeoutMs = 3_000;
/** Nothing more is read from a peer that has this much to take first. */
const maxUnsentBytes = 1_048_576;

/** What waits beyond this shows that the peer does not keep up: the system's own buffers are full. */
const behindBytes = 16_384;
/** What may be put together for one write. */
const maxJoinedBytes = 65_536;

/** The connection that a WebSocket was upgraded from, and how much has come from its peer. */
type PeerStream = Duplex & Pick<Socket, 'bytesRead'>;

/** Pings, pongs and completions, which cost the peer nothing. A client has a reason for one every few seconds. */
const idleFrames = { burst: 100, perSecond: 10 };

export interface ClientSocketOptions {
  readonly unread: UnreadAnswers;
  readonly log: Logger;
  readonly pingTurn: number;
}

/**
 * One WebSocket, so that a bad peer costs a bounded amount: large frames count among the unread answers of its user, a peer
 * that sends without reading is not read from, nor is one that floods; one that vanished is found out by its silence, and a
 * close that is not answered ends anyway.
 */
export class ClientSocket {
  /** Those that have something to write at the end of this turn of the event loop. */
  static readonly #due: ClientSocket[] = [];
  /** Which of the turns of pinging is its own. */
  readonly pingTurn: number;
  readonly #socket: WebSocket;
  readonly #stream: PeerStream;
  readonly #options: ClientSocketOptions;
  readonly #waiting = new Set<() => void>();
  readonly #idleFrames = new Allowance(idleFrames);
  /** Whether the peer has shown since the last ping that it is there. */
  #isAlive = true;
  #heardBytes = 0;
  /** It has much to take first. */
  #isPaused = false;
  /** Until then it is not read from, … */
  #rest: NodeJS.Timeout | undefined;
  /** … and what had been read already is held. */
  #held: string[] = [];
  /** What leaves at the end of this turn, in one write. */
  readonly #frames: Buffer[] = [];
  #frameBytes = 0;
  /** Who waits for that write. */
  #senders: ((error: Error | null | undefined) => void)[] = [];
  /** Something waits for the peer, which the system did not take at once. */
  #isStalled = false;
  /** Once it is known. */
  #recipient: Recipient | undefined;
  #listener: (text: string) => Promise<void> = () => Promise.resolve();
  #delayOf: (text: string) => number = () => 0;

  /** @param stream - the connection that the socket was upgraded from */
  constructor(socket: WebSocket, stream: PeerStream, options: ClientSocketOptions) {
    this.#socket = socket;
    this.#stream = stream;
    this.#options = options;
    this.pingTurn = options.pingTurn;
    socket.on('ping', () => this.admitIdle());
    socket.on('pong', () => this.admitIdle());
    socket.on('error', (error) => options.log.debug({ err: error }, 'A socket failed'));
    socket.once('close', () => {
      clearTimeout(this.#rest);
      this.#held = [];
      this.#wake();
    });
  }

  get isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  /** It has more to take than what one turn brings. */
  get isBehind(): boolean {
    return this.#stream.writableLength > behindBytes || this.#frameBytes > maxJoinedBytes;
  }

  get #unsentBytes(): number {
    return this.#socket.bufferedAmount + this.#frameBytes;
  }

  get protocol(): string {
    return this.#socket.protocol;
  }

  /** Resolves once the bytes have left this process. Rejects where the socket is closing or fails: no fault of this server. */
  send(text: string): Promise<void> {
    if (!this.isOpen) return Promise.reject(gone());
    return new Promise((resolve, reject) => {
      this.#senders.push((error) => (error == null ? resolve() : reject(gone(error))));
      this.#write(createTextFrame(text));
    });
  }

  /**
   * Sends a ready frame. Undefined while the peer keeps up; else resolves when it has caught up: who awaits it does not ask
   * for more than a slow peer takes.
   * @throws {ChatError} UNAVAILABLE where the socket is closing
   */
  push(frame: Buffer): Promise<void> | undefined {
    if (!this.isOpen) throw gone();
    this.#write(frame);
    return this.isBehind ? this.#caughtUp() : undefined;
  }

  /** Resolves once the peer has taken most of what it was sent, or is gone. */
  async drained(): Promise<void> {
    while (this.isOpen && this.#unsentBytes > maxUnsentBytes) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** @param delayOf - how long a message has to wait, with all that comes behind it, until this is asked again; in milliseconds */
  onMessage(listener: (text: string) => Promise<void>, delayOf: (text: string) => number): void {
    const socket = this.#socket;
    this.#listener = listener;
    this.#delayOf = delayOf;
    socket.on('message', (data) => {
      if (!this.isOpen) return;
      if (this.#unsentBytes > maxUnsentBytes) {
        this.#isPaused = true;
        socket.pause();
      }
      if (this.#rest === undefined) this.#take(String(data));
      else this.#held.push(String(data));
    });
  }

  #take(text: string): void {
    const delayMs = this.#delayOf(text);
    if (delayMs === 0) {
      this.#listener(text).catch(this.#blame);
      return;
    }
    this.#held.unshift(text);
    this.rest(delayMs);
  }

  /** Counts a message that asks for nothing. False where there were too many: the socket is closed, and not read any more. */
  admitIdle(): boolean {
    if (!this.isOpen) return false;
    if (this.#idleFrames.take()) return true;
    this.close(closeCodes.badRequest, 'Too many pings or completions');
    this.#socket.pause();
    return false;
  }

  /** One such message more is in order, for the completion of what the peer has just begun. */
  grantIdle(): void {
    this.#idleFrames.grant();
  }

  /** From now on, what waits counts as unread by this one. */
  belongTo(recipient: Recipient): void {
    this.#recipient = recipient;
  }

  /** Takes up no message for so long, in milliseconds, and reads nothing: what comes meanwhile waits at the peer. */
  rest(ms: number): void {
    if (ms === 0 || !this.isOpen) return;
    clearTimeout(this.#rest);
    this.#socket.pause();
    this.#rest = setTimeout(() => this.#goOn(), ms);
  }

  #goOn(): void {
    this.#rest = undefined;
    const held = this.#held;
    this.#held = [];
    for (const [index, text] of held.entries()) {
      if (!this.isOpen) return;
      this.#take(text);
      if (this.#rest === undefined) continue;
      // One that has to wait again is there already.
      this.#held = [...this.#held, ...held.slice(index + 1)];
      return;
    }
    if (!this.#isPaused) this.#socket.resume();
  }

  onClose(listener: (code: number, reason: string) => void): void {
    this.#socket.once('close', (code, reason) => listener(code, String(reason)));
  }

  /** For a subscriber that cannot keep up; it resumes with afterSeq. */
  cutOff(): void {
    this.close(closeCodes.slowConsumer, 'slow consumer');
  }

  /** Closes, and does not wait for ever for a peer that does not read. */
  close(code: number, reason: string): void {
    if (!this.isOpen) return;
    this.#flush();
    this.#socket.close(code, reason);
    const timer = setTimeout(() => this.#socket.terminate(), closeTimeoutMs);
    this.#socket.once('close', () => clearTimeout(timer));
  }

  /**
   * Ends it where the peer gave no sign of life since the last time. What it sent is one, a pong or anything else. What the
   * system took from here is none: it takes bytes for a peer that has vanished until its buffers are full.
   */
  ping(): void {
    const { bytesRead } = this.#stream;
    // It is not read from while it has much to take, so that what it says cannot be heard.
    if (bytesRead > this.#heardBytes || this.#isPaused || this.#rest !== undefined) this.#isAlive = true;
    this.#heardBytes = bytesRead;
    if (!this.#isAlive) this.#socket.terminate();
    else if (this.isOpen) this.#socket.ping();
    this.#isAlive = false;
  }

  readonly #blame = (error: unknown): void => {
    if (!this.isOpen) return;
    const isRefusal = error instanceof ChatError;
    if (!isRefusal) this.#options.log.warn({ err: error }, 'A socket broke the protocol');
    this.close(closeCodes.badRequest, isRefusal ? error.message : 'Bad request');
  };

  async #caughtUp(): Promise<void> {
    while (this.isBehind && this.isOpen) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  /** What is written in one turn of the event loop leaves together, in one write to the system. */
  #write(frame: Buffer): void {
    if (frame.length > maxJoinedBytes && this.#recipient !== undefined) this.#keep(this.#recipient, frame.length);
    this.#frameBytes += frame.length;
    if (this.#frames.push(frame) === 1 && ClientSocket.#due.push(this) === 1) setImmediate(ClientSocket.#flushAll);
  }

  /** Counts as unread until it is written. */
  #keep(recipient: Recipient, bytes: number): void {
    const { unread } = this.#options;
    const kept = unread.keep(recipient, bytes, () => this.cutOff());
    this.#senders.push(() => unread.forget(kept));
  }

  static readonly #flushAll = (): void => {
    for (const socket of ClientSocket.#due.splice(0)) socket.#flush();
  };

  #flush(): void {
    const [first] = this.#frames;
    if (first === undefined) return;
    const bytes = this.#frames.length === 1 ? first : Buffer.concat(this.#frames, this.#frameBytes);
    this.#frames.length = 0;
    this.#frameBytes = 0;
    const written = this.#senders.length === 0 ? this.#noteSent : this.#createNote(this.#senders);
    if (!this.isOpen) {
      written(gone());
      return;
    }
    this.#stream.write(bytes, written);
    if (this.#stream.writableLength > 0) this.#isStalled = true;
  }

  #createNote(senders: readonly ((error: Error | null | undefined) => void)[]) {
    this.#senders = [];
    return (error?: Error | null): void => {
      this.#noteSent();
      for (const sender of senders) sender(error);
    };
  }

  /** Something has left this process. */
  readonly #noteSent = (_error?: Error | null): void => {
    // The system's buffers were full, and take more only as the peer acknowledges: it makes progress.
    if (this.#isStalled) {
      this.#isAlive = true;
      this.#isStalled = this.#stream.writableLength > 0;
    }
    if (this.#waiting.size > 0) this.#wake();
    if (this.#isPaused && this.#unsentBytes < maxUnsentBytes) {
      this.#isPaused = false;
      if (this.#rest === undefined) this.#socket.resume();
    }
  };

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

const gone = (cause?: Error) => new ChatError('UNAVAILABLE', 'The socket is closing', { cause });
