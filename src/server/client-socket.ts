import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import { ChatError } from '../domain/errors.js';

/** Close codes of this server, beside those of graphql-transport-ws. */
export const closeCodes = {
  /** The protocol was broken; clients give up. */
  badRequest: 4400,
  /** A bad or expired token; clients come back with a fresh one. */
  badToken: 4403,
  tooManySockets: 4429,
  slowConsumer: 4490,
  restart: 1012,
  tryAgain: 1013,
} as const;

const pingMs = 12_000;
/** After a close frame that the peer does not answer. */
const closeTimeoutMs = 3_000;
/** Nothing more is read from a peer that has this much to take first. */
const maxUnsentBytes = 1_048_576;

/** What waits beyond this shows that the peer does not keep up: the system's own buffers are full. */
const behindBytes = 16_384;

export interface ClientSocketOptions {
  /** No progress on one send for this long, and the peer is a slow consumer. */
  readonly sendTimeoutMs: number;
  readonly log: Logger;
}

/**
 * One WebSocket, so that a bad peer costs a bounded amount: a send that makes no progress closes it with 4490, a peer that
 * sends without reading is not read from, one that vanished is found out by its silence, and a close that is not answered
 * ends anyway.
 */
export class ClientSocket {
  /** Those that have been written to in this turn of the event loop. */
  static readonly #corked: ClientSocket[] = [];
  readonly #socket: WebSocket;
  readonly #stream: Duplex;
  readonly #options: ClientSocketOptions;
  readonly #pinging: NodeJS.Timeout;
  readonly #waiting = new Set<() => void>();
  #isAlive = true;
  #isCorked = false;
  #stall: NodeJS.Timeout | undefined;

  /** @param stream - the connection that the socket was upgraded from */
  constructor(socket: WebSocket, stream: Duplex, options: ClientSocketOptions) {
    this.#socket = socket;
    this.#stream = stream;
    this.#options = options;
    this.#pinging = setInterval(() => this.#ping(), pingMs);
    socket.on('pong', () => {
      this.#isAlive = true;
    });
    socket.on('error', (error) => options.log.debug({ err: error }, 'A socket failed'));
    socket.once('close', () => {
      clearInterval(this.#pinging);
      clearTimeout(this.#stall);
      this.#wake();
    });
  }

  get isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  /** It has more to take than what one turn brings. */
  get isBehind(): boolean {
    return this.#socket.bufferedAmount > behindBytes;
  }

  get protocol(): string {
    return this.#socket.protocol;
  }

  /** Resolves once the bytes have left this process. Rejects where the socket is closing or fails: no fault of this server. */
  send(text: string): Promise<void> {
    if (!this.isOpen) return Promise.reject(gone());
    this.#cork();
    return new Promise((resolve, reject) =>
      this.#socket.send(text, (error) => {
        this.#noteSent();
        if (error == null) resolve();
        else reject(gone(error));
      }),
    );
  }

  /**
   * Sends a ready frame. Undefined while the peer keeps up; else resolves when it has caught up: who awaits it does not ask
   * for more than a slow peer takes.
   * @throws {ChatError} UNAVAILABLE where the socket is closing
   */
  push(frame: Buffer): Promise<void> | undefined {
    if (!this.isOpen) throw gone();
    this.#cork();
    this.#stream.write(frame, this.#noteSent);
    return this.isBehind ? this.#caughtUp() : undefined;
  }

  /** Resolves once the peer has taken most of what it was sent, or is gone. */
  async drained(): Promise<void> {
    while (this.isOpen && this.#socket.bufferedAmount > maxUnsentBytes) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  onMessage(listener: (text: string) => Promise<void>): void {
    const socket = this.#socket;
    socket.on('message', (data) => {
      this.#isAlive = true;
      if (socket.bufferedAmount > maxUnsentBytes) socket.pause();
      listener(String(data)).catch((error: unknown) => {
        if (!this.isOpen) return;
        this.#options.log.warn({ err: error }, 'A socket broke the protocol');
        this.close(closeCodes.badRequest, 'Bad request');
      });
    });
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
    this.#socket.close(code, reason);
    const timer = setTimeout(() => this.#socket.terminate(), closeTimeoutMs);
    this.#socket.once('close', () => clearTimeout(timer));
  }

  async #caughtUp(): Promise<void> {
    while (this.isBehind && this.isOpen) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  /** What is written in one turn of the event loop leaves together, in one write to the system. */
  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#stream.cork();
    if (ClientSocket.#corked.push(this) === 1) setImmediate(ClientSocket.#uncorkAll);
  }

  static readonly #uncorkAll = (): void => {
    for (const socket of ClientSocket.#corked.splice(0)) socket.#uncork();
  };

  #uncork(): void {
    this.#isCorked = false;
    this.#stream.uncork();
    // What the system did not take at once waits for the peer.
    const isWaiting = this.isOpen && this.#stream.writableLength > 0;
    if (isWaiting) this.#stall ??= setTimeout(() => this.cutOff(), this.#options.sendTimeoutMs);
  }

  /** Something has left: the peer makes progress. */
  readonly #noteSent = (): void => {
    const socket = this.#socket;
    this.#isAlive = true;
    if (this.#stall !== undefined) {
      if (this.#stream.writableLength > 0) this.#stall.refresh();
      else {
        clearTimeout(this.#stall);
        this.#stall = undefined;
      }
    }
    if (this.#waiting.size > 0) this.#wake();
    if (socket.isPaused && socket.bufferedAmount < maxUnsentBytes) socket.resume();
  };

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  #ping(): void {
    if (!this.#isAlive) this.#socket.terminate();
    else if (this.isOpen) this.#socket.ping();
    this.#isAlive = false;
  }
}

const gone = (cause?: Error) => new ChatError('UNAVAILABLE', 'The socket is closing', { cause });
