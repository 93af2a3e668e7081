import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import { Allowance } from '../../domain/allowance.js';
import { ChatError } from '../../domain/errors.js';
import type { Printed } from '../graphql/limits/large-answers.js';
import type { Recipient, UnreadAnswers } from '../graphql/limits/unread-answers.js';
import { closeCodes } from './close-codes.js';
import { createTextFrame } from './text-frame.js';

/** The time that a peer has to answer a close frame. */
const closeTimeoutMs = 3_000;
/** A peer with this many unsent bytes is not read from. */
const maxUnsentBytes = 1_048_576;

/** A peer with more waiting bytes does not keep up: the operating system's buffers are full. */
const behindBytes = 16_384;
/** The bytes of one turn beyond which a peer does not keep up; a larger frame counts as an unread answer. */
const maxJoinedBytes = 65_536;

/** The connection that a WebSocket was upgraded from, with the number of bytes that its peer has sent. */
type PeerStream = Duplex & Pick<Socket, 'bytesRead'>;

/** The allowance for pings, pongs and completions, which cost the peer nothing. A client needs one every few seconds. */
const idleFrames = { burst: 100, perSecond: 10 };

export interface ClientSocketOptions {
  readonly unread: UnreadAnswers;
  readonly log: Logger;
  readonly pingTurn: number;
}

/**
 * One WebSocket, which limits the cost of a bad peer: large frames count as unread answers of its user; a peer that sends
 * without reading, or too much, is not read from; a peer that vanished is detected by its silence; and a close that is not
 * answered ends anyway.
 */
export class ClientSocket {
  /** The sockets with frames to write at the end of this turn of the event loop. */
  static readonly #due: ClientSocket[] = [];
  /** The turn of the ping timer in which this socket is pinged. */
  readonly pingTurn: number;
  readonly #socket: WebSocket;
  readonly #stream: PeerStream;
  readonly #options: ClientSocketOptions;
  readonly #waiting = new Set<() => void>();
  readonly #idleFrames = new Allowance(idleFrames);
  /** Whether the peer has shown a sign of life since the last ping. */
  #isAlive = true;
  #heardBytes = 0;
  /** Whether reading is paused because too many bytes are unsent. */
  #isPaused = false;
  /** Set while the socket rests and is not read from. */
  #rest: NodeJS.Timeout | undefined;
  /** The messages that were read before the rest and wait for its end. */
  #held: string[] = [];
  /** Whether a message waits to be processed before all later ones. */
  #isHolding = false;
  /** The frames to write at the end of this turn, in one write. */
  #frames: Buffer[] = [];
  #frameBytes = 0;
  /** The callbacks of that write. */
  #senders: ((error: Error | null | undefined) => void)[] = [];
  /** Whether the operating system did not take all bytes at once. */
  #isStalled = false;
  /** Undefined until the user is known. */
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

  /** Whether the peer does not keep up. */
  get isBehind(): boolean {
    return this.#stream.writableLength > behindBytes || this.#frameBytes > maxJoinedBytes;
  }

  get #unsentBytes(): number {
    return this.#socket.bufferedAmount + this.#frameBytes;
  }

  get protocol(): string {
    return this.#socket.protocol;
  }

  /** Resolves once the bytes have left this process. Rejects with UNAVAILABLE if the socket is closing or fails. */
  send(text: string): Promise<void> {
    const frame = createTextFrame(text);
    return this.sendPieces({ pieces: [frame], bytes: frame.length });
  }

  /** The same for one complete frame in pieces, which are not copied. */
  sendPieces({ pieces, bytes }: Printed): Promise<void> {
    if (!this.isOpen) return Promise.reject(gone());
    return new Promise((resolve, reject) => {
      this.#senders.push((error) => (error == null ? resolve() : reject(gone(error))));
      this.#expect(bytes);
      this.#frames.push(...pieces);
    });
  }

  /**
   * Sends a complete frame. Returns undefined while the peer keeps up, otherwise a promise that resolves when it has caught
   * up: await it before sending more.
   * @throws {ChatError} UNAVAILABLE if the socket is closing
   */
  push(frame: Buffer): Promise<void> | undefined {
    if (!this.isOpen) throw gone();
    this.#expect(frame.length);
    this.#frames.push(frame);
    return this.isBehind ? this.#caughtUp() : undefined;
  }

  /** Resolves once the peer has taken most of its bytes, or is gone. */
  async drained(): Promise<void> {
    while (this.isOpen && this.#unsentBytes > maxUnsentBytes) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** @param delayOf - for how many milliseconds a message, and all after it, must wait before this is called again */
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
      if (this.#isResting) this.#held.push(String(data));
      else this.#take(String(data));
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

  /**
   * Counts a message that requests nothing. Returns false if there were too many: then the socket is closed, and not read
   * from any more.
   */
  admitIdle(): boolean {
    if (!this.isOpen) return false;
    if (this.#idleFrames.take()) return true;
    this.close(closeCodes.badRequest, 'Too many pings or completions');
    this.#socket.pause();
    return false;
  }

  /** Allows one more such message: the completion of an operation that the peer has just begun. */
  grantIdle(): void {
    this.#idleFrames.grant();
  }

  /** From now on, waiting frames count as unread answers of this recipient. */
  belongTo(recipient: Recipient): void {
    this.#recipient = recipient;
  }

  /** Processes no message and reads nothing for this many milliseconds: further messages wait at the peer. */
  rest(ms: number): void {
    if (ms === 0 || !this.isOpen) return;
    clearTimeout(this.#rest);
    this.#socket.pause();
    this.#rest = setTimeout(() => {
      this.#rest = undefined;
      this.#goOn();
    }, ms);
  }

  get #isResting(): boolean {
    return this.#rest !== undefined || this.#isHolding;
  }

  #goOn(): void {
    if (this.#isResting) return;
    const held = this.#held;
    this.#held = [];
    for (const [index, text] of held.entries()) {
      if (!this.isOpen) return;
      this.#take(text);
      if (!this.#isResting) continue;
      // `#take` has put a message that has to wait again at the front.
      this.#held = [...this.#held, ...held.slice(index + 1)];
      return;
    }
    if (!this.#isPaused) this.#socket.resume();
  }

  /** Processes no message and reads nothing until the promise resolves; then calls `work`, and goes on behind it. */
  hold(until: Promise<unknown>, work: () => Promise<void>): void {
    this.#isHolding = true;
    this.#socket.pause();
    void until.then(() => {
      this.#isHolding = false;
      if (!this.isOpen) return;
      work().catch(this.#blame);
      this.#goOn();
    });
  }

  onClose(listener: (code: number, reason: string) => void): void {
    this.#socket.once('close', (code, reason) => listener(code, String(reason)));
  }

  /** Closes the socket of a subscriber that cannot keep up; it resumes with afterSeq. */
  cutOff(): void {
    this.close(closeCodes.slowConsumer, 'slow consumer');
  }

  /** Closes the socket, and terminates it after a while if the peer does not answer. */
  close(code: number, reason: string): void {
    if (!this.isOpen) return;
    this.#flush();
    this.#socket.close(code, reason);
    const timer = setTimeout(() => this.#socket.terminate(), closeTimeoutMs);
    this.#socket.once('close', () => clearTimeout(timer));
  }

  /**
   * Pings the peer, or terminates the socket if the peer has shown no sign of life since the last time. All bytes from the
   * peer are a sign, a pong or others. Bytes that this system takes are none: it takes them for a peer that has vanished
   * until its buffers are full.
   */
  ping(): void {
    const { bytesRead } = this.#stream;
    // While reading is paused, signs of life cannot be seen.
    if (bytesRead > this.#heardBytes || this.#isPaused || this.#isResting) this.#isAlive = true;
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

  /** Call it before the bytes are added to the frames, which are written together at the end of this turn of the event loop. */
  #expect(bytes: number): void {
    if (bytes > maxJoinedBytes && this.#recipient !== undefined) this.#keep(this.#recipient, bytes);
    if (this.#frames.length === 0 && ClientSocket.#due.push(this) === 1) setImmediate(ClientSocket.#flushAll);
    this.#frameBytes += bytes;
  }

  /** Counts the frame as an unread answer until it is written. */
  #keep(recipient: Recipient, bytes: number): void {
    const { unread } = this.#options;
    const kept = unread.keep(recipient, bytes, () => this.cutOff());
    this.#senders.push((error) => (error == null ? unread.forget(kept) : unread.abandon(kept)));
  }

  static readonly #flushAll = (): void => {
    for (const socket of ClientSocket.#due.splice(0)) socket.#flush();
  };

  #flush(): void {
    const frames = this.#frames;
    const bytes = this.#frameBytes;
    if (frames.length === 0) return;
    this.#frames = [];
    this.#frameBytes = 0;
    const written = this.#senders.length === 0 ? this.#noteSent : this.#createNote(this.#senders);
    if (!this.isOpen) {
      written(gone());
      return;
    }
    if (frames.length === 1) this.#stream.write(frames[0], written);
    else if (bytes <= maxJoinedBytes) this.#stream.write(Buffer.concat(frames, bytes), written);
    else this.#writeEach(frames, written);
    if (this.#stream.writableLength > 0) this.#isStalled = true;
  }

  /** One write of joined frames is cheaper, but megabytes take long to copy. */
  #writeEach(frames: readonly Buffer[], written: (error?: Error | null) => void): void {
    this.#stream.cork();
    for (const frame of frames.slice(0, -1)) this.#stream.write(frame);
    this.#stream.write(frames.at(-1), written);
    this.#stream.uncork();
  }

  #createNote(senders: readonly ((error: Error | null | undefined) => void)[]) {
    this.#senders = [];
    return (error?: Error | null): void => {
      this.#noteSent();
      for (const sender of senders) sender(error);
    };
  }

  /** Called when bytes have left this process. */
  readonly #noteSent = (_error?: Error | null): void => {
    // The system's buffers were full, and take more only when the peer acknowledges: that is a sign of life.
    if (this.#isStalled) {
      this.#isAlive = true;
      this.#isStalled = this.#stream.writableLength > 0;
    }
    if (this.#waiting.size > 0) this.#wake();
    if (this.#isPaused && this.#unsentBytes < maxUnsentBytes) {
      this.#isPaused = false;
      if (!this.#isResting) this.#socket.resume();
    }
  };

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

const gone = (cause?: Error) => new ChatError('UNAVAILABLE', 'The socket is closing', { cause });
