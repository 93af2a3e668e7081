import type { Environment } from '../environment/environment.js';
import { asFairwayError, FairwayError } from '../errors.js';
import { ViewerDocument } from '../operations/generated/documents.js';
import { call, createStore, type Store } from '../store.js';
import { Backoff } from './backoff.js';
import type { Line, Operation, Sink, Transport } from './line.js';
import { requestOverHttp } from './request.js';
import { openSocket, type Socket, type SocketEnd } from './socket.js';
import { createHttpLine } from './sse.js';
import type { Tokens } from './token.js';

export type ConnectionStatus =
  | 'disconnected'
  | 'connecting'
  | 'connected'
  | 'reconnecting'
  /** There is no token, or the server refuses it. `reconnectNow` asks for one again. */
  | 'signedOut'
  /** The server does not know an operation of this client: load the newest version of the app. */
  | 'outdated';

export interface ConnectionSnapshot {
  readonly status: ConnectionStatus;
  /** How events arrive; null while they do not. */
  readonly transport: Transport | null;
  /** When the next attempt begins, in milliseconds since 1970 on this device; null if none is planned. */
  readonly retryAt: number | null;
  /** Whether unsent messages and drafts survive a reload. */
  readonly isStorageDurable: boolean;
}

/** Uses the line while there is one. */
export interface Follower {
  /** A line has opened, or has replaced the one before. */
  online(line: Line): void;
  offline(): void;
}

/** A visible page asks whether an open socket still lives; one that lives answers in this time. */
const aliveWithinMs = 2_000;
/** A connection that lives this long was a success. */
const steadyMs = 10_000;
/** A socket that is used no more is closed after this time: a page that changes its view opens no new one. */
const lingerMs = 3_000;
/** The first pause after the server has refused one more socket of this user. */
const tooManyMs = 1_000;

const closeCodes = { tokenRefused: 4403, tooMany: 4429 };

/**
 * The way to the server: a WebSocket while there are followers, HTTP streams where no WebSocket gets through, and requests over
 * either.
 */
export class Connection {
  readonly state: Store<ConnectionSnapshot>;
  readonly #store;
  readonly #followers = new Set<Follower>();
  readonly #backoff: Backoff;
  #socket: Socket | undefined;
  /** A socket that opens while the one before still serves. */
  #candidate: Socket | undefined;
  #httpLine: ReturnType<typeof createHttpLine> | undefined;
  #line: Line | undefined;
  #cancelRetry: (() => void) | undefined;
  #cancelSteady = () => {};
  #cancelReplace = () => {};
  #cancelLinger: (() => void) | undefined;
  #isAttempting = false;
  #wasConnected = false;
  #isAway = false;
  #isClosed = false;

  /** @param onTooMany - called if the server has refused one more socket of this user */
  constructor(
    private readonly environment: Environment,
    private readonly url: string,
    private readonly tokens: Tokens,
    private readonly onTooMany: () => void,
  ) {
    this.#backoff = new Backoff(environment);
    this.#store = createStore<ConnectionSnapshot>({
      status: 'disconnected',
      transport: null,
      retryAt: null,
      isStorageDurable: true,
    });
    this.state = this.#store;
  }

  /** The line of the moment. */
  get line(): Line | undefined {
    return this.#line;
  }

  /** Keeps a connection for this follower until it is released. */
  follow(follower: Follower): () => void {
    this.#followers.add(follower);
    this.#cancelLinger?.();
    this.#cancelLinger = undefined;
    if (this.#line !== undefined) follower.online(this.#line);
    this.#connect();
    return () => {
      if (!this.#followers.delete(follower) || this.#followers.size > 0 || this.#isClosed) return;
      this.#cancelLinger = this.environment.setTimer(() => this.#rest(), lingerMs);
    };
  }

  /**
   * Executes one operation, over the socket if it is open and otherwise over HTTP.
   * @throws {FairwayError} the server's refusal; OFFLINE if the server cannot be reached
   */
  async request<Result, Variables>(
    document: Operation<Result, Variables>,
    variables: Variables,
    { overHttp = false, isLastWord = false, isForeign = false } = {},
  ): Promise<Result> {
    if (this.#isClosed) throw new FairwayError('CLOSED', 'The client is closed');
    try {
      const socket = overHttp ? undefined : this.#openSocket;
      if (socket !== undefined) return (await requestOverSocket(socket, document, variables)) as Result;
      const { environment, url, tokens } = this;
      const request = { query: String(document), variables };
      return (await requestOverHttp({ environment, url, tokens }, request, { isLastWord })) as Result;
    } catch (error) {
      const failure = asFairwayError(error);
      // A mistake in the app's own operation says nothing about this client.
      throw isForeign && failure.code === 'OUTDATED'
        ? new FairwayError('BAD_USER_INPUT', failure.message)
        : this.#note(failure);
    }
  }

  /** Whether something has arrived over the socket since `heard` was read from it. */
  get socketState(): { readonly isOpen: boolean; readonly heard: number } {
    return { isOpen: this.#openSocket !== undefined, heard: this.#openSocket?.heard ?? 0 };
  }

  /** Asks an open socket whether it lives; a dead one is replaced. */
  check(): void {
    this.#openSocket?.check(aliveWithinMs);
  }

  /** Connects at once: the network is back, the page is visible again, or the user wants to. */
  reconnectNow(): void {
    if (this.#isClosed) return;
    this.#backoff.reset();
    if (this.#openSocket !== undefined) {
      this.check();
      return;
    }
    this.#endRetry();
    this.#connect();
  }

  /** After `signedOut` or `outdated`: tries again. */
  resume(): void {
    this.tokens.signInAgain();
    if (this.#isStopped) this.#set({ status: 'disconnected' });
  }

  /** Lets the connection go although there are followers, because nobody sees the page. */
  setAway(isAway: boolean): void {
    if (this.#isAway === isAway) return;
    this.#isAway = isAway;
    if (isAway) this.#rest();
    else this.reconnectNow();
  }

  /** Another user has signed in: nothing goes on over what was opened for the one before. */
  changeUser(): void {
    this.#rest();
    this.#backoff.reset();
    this.#connect();
  }

  setStorage(isStorageDurable: boolean): void {
    this.#set({ isStorageDurable });
  }

  /** Ends the connection for this user: nothing more is asked of the server until `resume`. */
  signOut(): void {
    this.tokens.signOut();
    this.#stop('signedOut');
  }

  close(): void {
    this.#isClosed = true;
    this.#followers.clear();
    this.#cancelLinger?.();
    this.#rest();
  }

  get #openSocket(): Socket | undefined {
    return this.#socket?.isOpen === true ? this.#socket : undefined;
  }

  get #isStopped(): boolean {
    const { status } = this.#store.getSnapshot();
    return status === 'signedOut' || status === 'outdated';
  }

  #set(changes: Partial<ConnectionSnapshot>): void {
    const before = this.#store.getSnapshot();
    const isSame = Object.entries(changes).every(([key, value]) => before[key as keyof ConnectionSnapshot] === value);
    if (!isSame) this.#store.set({ ...before, ...changes });
  }

  #connect(): void {
    const isIdle = !this.#isAttempting && this.#candidate === undefined && this.#cancelRetry === undefined;
    if (!isIdle || this.#openSocket !== undefined || !this.#isWanted) return;
    if (this.#line === undefined)
      this.#set({ status: this.#wasConnected ? 'reconnecting' : 'connecting', retryAt: null });
    this.#attempt().catch(() => undefined);
  }

  get #isWanted(): boolean {
    return this.#followers.size > 0 && !this.#isAway && !this.#isClosed && !this.#isStopped;
  }

  /** One attempt to open a socket; it may run while another one serves, to replace it. */
  async #attempt(): Promise<void> {
    this.#isAttempting = true;
    let token: string;
    try {
      token = await this.tokens.get();
    } catch (error) {
      if (this.#note(asFairwayError(error)).code !== 'SIGNED_OUT' && this.#openSocket === undefined) this.#retryLater();
      return;
    } finally {
      this.#isAttempting = false;
    }
    if (!this.#isWanted) return;
    if (this.environment.WebSocket === undefined) {
      this.#failed({ code: 1006, wasOpen: false });
      return;
    }
    const socket = openSocket(this.environment, {
      url: this.url,
      token,
      onOpen: () => this.#opened(socket),
      onEnd: (end) => this.#ended(socket, end, token),
    });
    this.#candidate = socket;
  }

  #opened(socket: Socket): void {
    const before = this.#socket;
    [this.#candidate, this.#socket] = [undefined, socket];
    this.#endRetry();
    this.#cancelSteady();
    this.#cancelSteady = this.environment.setTimer(() => {
      this.#backoff.reset();
      this.tokens.accept();
    }, steadyMs);
    this.#replaceToken();
    this.#use({
      transport: 'websocket',
      subscribe: (document, variables, sink) =>
        socket.subscribe(String(document), variables as Record<string, unknown>, sink as Sink<unknown>),
    });
    this.#httpLine?.close();
    this.#httpLine = undefined;
    before?.close();
  }

  /** Opens the next socket with a fresh token shortly before the server would end this one. */
  #replaceToken(): void {
    this.#cancelReplace();
    const ms = this.tokens.replaceInMs;
    if (ms === undefined) return;
    const replace = () => {
      this.tokens.replace().then(
        () => this.#attempt().catch(() => undefined),
        () => undefined,
      );
    };
    // A timer holds 24 days at most; a token lives one.
    this.#cancelReplace = this.environment.setTimer(replace, Math.min(Math.max(ms, 1_000), 86_400_000));
  }

  #use(line: Line): void {
    this.#line = line;
    this.#wasConnected = true;
    this.#set({ status: 'connected', transport: line.transport, retryAt: null });
    for (const follower of [...this.#followers]) call(() => follower.online(line));
  }

  #lose(): void {
    if (this.#line === undefined) return;
    this.#line = undefined;
    this.#set({ transport: null, ...(this.#isStopped ? {} : { status: 'reconnecting' }) });
    for (const follower of [...this.#followers]) call(() => follower.offline());
  }

  #ended(socket: Socket, end: SocketEnd, token: string): void {
    const isServing = socket === this.#socket;
    if (isServing) {
      this.#socket = undefined;
      this.#cancelSteady();
      this.#cancelReplace();
      this.#lose();
    } else {
      this.#candidate = undefined;
    }
    if (end.code === closeCodes.tokenRefused) this.tokens.refuse(token);
    if (this.tokens.isSignedOut) this.#stop('signedOut');
    // A socket that should have replaced this one has failed: it still serves.
    else if (this.#openSocket !== undefined) this.#replaceToken();
    // With a fresh token, at once.
    else if (end.code === closeCodes.tokenRefused) this.#connect();
    else this.#failed(end);
  }

  #failed({ code, wasOpen }: SocketEnd): void {
    if (code === closeCodes.tooMany) this.onTooMany();
    this.#retryLater(code === closeCodes.tooMany ? tooManyMs : 0);
    // It may be only the upgrade that does not get through.
    if (!wasOpen && this.#line === undefined && this.#isWanted) this.#tryHttp().catch(() => undefined);
  }

  async #tryHttp(): Promise<void> {
    await this.request(ViewerDocument, {}, { overHttp: true });
    if (this.#line !== undefined || !this.#isWanted) return;
    const { environment, url, tokens } = this;
    const line = createHttpLine({
      environment,
      url,
      tokens,
      onLost: () => {
        if (this.#line !== line) return;
        line.close();
        this.#httpLine = undefined;
        this.#lose();
        this.#set({ status: 'reconnecting' });
      },
    });
    this.#httpLine = line;
    this.#use(line);
  }

  #retryLater(atLeastMs = 0): void {
    this.#endRetry();
    if (!this.#isWanted) {
      this.#rest();
      return;
    }
    const ms = Math.max(this.#backoff.next(), atLeastMs);
    this.#cancelRetry = this.environment.setTimer(() => {
      this.#cancelRetry = undefined;
      this.#connect();
    }, ms);
    if (this.#line !== undefined) return;
    this.#set({ status: this.#wasConnected ? 'reconnecting' : 'connecting', retryAt: this.environment.now() + ms });
  }

  #endRetry(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
  }

  /** Closes everything; the next follower opens it again. */
  #rest(): void {
    this.#endRetry();
    this.#cancelSteady();
    this.#cancelReplace();
    this.#candidate?.close();
    this.#socket?.close();
    this.#httpLine?.close();
    [this.#candidate, this.#socket, this.#httpLine] = [undefined, undefined, undefined];
    this.#lose();
    if (!this.#isStopped) this.#set({ status: 'disconnected', transport: null, retryAt: null });
  }

  #stop(status: 'signedOut' | 'outdated'): void {
    if (this.#isClosed) return;
    this.#set({ status, retryAt: null });
    this.#rest();
  }

  /** Draws the conclusions from an error of any request. */
  #note(error: FairwayError): FairwayError {
    if (this.#isStopped) return error;
    if (error.code === 'SIGNED_OUT' || (error.code === 'UNAUTHENTICATED' && this.tokens.isSignedOut))
      this.#stop('signedOut');
    if (error.code === 'OUTDATED') this.#stop('outdated');
    return error;
  }

  /** A subscription was refused: the same conclusions. */
  noteRefusal(error: FairwayError): void {
    this.#note(error);
  }
}

function requestOverSocket<Result, Variables>(
  socket: Socket,
  document: Operation<Result, Variables>,
  variables: Variables,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let result: unknown;
    socket.subscribe(String(document), variables as Record<string, unknown>, {
      next: (value) => {
        result = value;
      },
      end: (error) => {
        if (error !== undefined) reject(error);
        else if (result === undefined) reject(new FairwayError('INTERNAL', 'There was no result'));
        else resolve(result);
      },
    });
  });
}
