import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { DeliverPolicy, type JetStreamClient, jetstream } from '@nats-io/jetstream';
import {
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  type NatsConnection,
  type Subscription as NatsSubscription,
} from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { AckInbox } from './ack-inbox.js';
import { ForeignBodyError } from './fields.js';
import { type Listener, maxPingsOut, type PubSub, pingIntervalMs, type Recent, type Subscription } from './pub-sub.js';
import { Replies } from './replies.js';
import { Seldom } from './seldom.js';
import { StreamKeeper } from './stream-keeper.js';
import { type StreamName, streamOf } from './streams.js';
import { type KindTraffic, note, Traffic } from './traffic.js';

export interface NatsOptions {
  readonly url: string;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly creds: string | undefined;
  readonly replicas: number;
  /** The prefixes of reply subjects to which requests are answered. */
  readonly replyPrefixes: readonly string[];
}

/** The PubSub, with access to its connection for the parts of this folder that need more of NATS. */
export interface NatsPubSub extends PubSub {
  /** Runs with the first connection, and with a new one if the client gave up the old one; not after a reconnect. */
  onConnection(action: (connection: NatsConnection) => void): void;
  /** Resolves with the answer of another system. Rejects without one in time, or while NATS is disconnected. */
  request(subject: string, body: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  /** Sends the answers of requests. */
  readonly replies: Replies;
}

/** A prefix of our own, so that permissions can keep other clients from reading answers to the server: see deploy/nats. */
const inboxPrefix = '_INBOX_FAIRWAY';
const readyTimeoutMs = 500;
const recentTimeoutMs = 1_000;
const maxRecent = 1_000;
/** An attempt that the network swallows ends after this time. */
const connectTimeoutMs = 5_000;
const reconnectWaitMs = 500;
const attemptsPerWarning = 60;
/** Headers count toward the maximum size of a message. */
const maxHeaderBytes = 256;

interface Topic {
  readonly listeners: Set<Listener>;
  subscription: NatsSubscription | undefined;
}

/**
 * The PubSub over NATS JetStream. Starts without waiting for the server and reconnects forever. The streams are ensured
 * after every connect and after every failed publish.
 */
export function createNatsPubSub(options: NatsOptions, log: Logger): NatsPubSub {
  return new JetStreamPubSub(options, log);
}

class JetStreamPubSub implements NatsPubSub {
  readonly replies: Replies;
  readonly #log: Logger;
  readonly #streams: StreamKeeper;
  readonly #topics = new Map<string, Topic>();
  readonly #onConnect: (() => void)[] = [];
  readonly #onConnection: ((connection: NatsConnection) => void)[] = [];
  readonly #options: ConnectionOptions;
  readonly #foreign = new Seldom();
  readonly #unsent = new Seldom();
  readonly #traffic = new Traffic();
  #connecting: Promise<void>;
  #connection: NatsConnection | undefined;
  #jetstream: JetStreamClient | undefined;
  #acks: AckInbox | undefined;
  #settling: Promise<void> | undefined;
  #isConnected = false;
  #isClosed = false;

  constructor(options: NatsOptions, log: Logger) {
    this.#log = log;
    this.replies = new Replies(options.replyPrefixes, log);
    this.#streams = new StreamKeeper(options.replicas, log);
    this.#options = toConnectionOptions(options);
    this.#connecting = this.#connect();
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  get failingStreams(): readonly string[] {
    return this.#streams.failing;
  }

  get ignoredCount(): number {
    return this.#foreign.count;
  }

  get subjectCount(): number {
    return this.#topics.size;
  }

  get traffic(): ReadonlyMap<string, KindTraffic> {
    return this.#traffic.kinds;
  }

  async publish(subject: string, body: Uint8Array, id: string): Promise<void> {
    if (!this.#isConnected || this.#acks === undefined) throw new Error('NATS is not connected');
    note(this.#traffic.of(subject).published, body);
    try {
      await this.#acks.publish(streamOf(subject), subject, body, id);
    } catch (error) {
      // The stream may be missing.
      this.#streams.doubt();
      throw error;
    }
  }

  get maxBodyBytes(): number {
    // May change with each connection.
    return (this.#connection?.info?.max_payload ?? Number.POSITIVE_INFINITY) - maxHeaderBytes;
  }

  signal(subject: string, body: Uint8Array): void {
    if (!this.#isConnected) return;
    try {
      this.#connection?.publish(subject, body);
      note(this.#traffic.of(subject).published, body);
    } catch (error) {
      this.#unsent.note((times) => this.#log.warn({ err: error, subject, times }, 'A signal could not be sent'));
    }
  }

  async recent(subject: string, maxAgeMs: number): Promise<readonly Recent[]> {
    if (!this.#isConnected || this.#jetstream === undefined) return [];
    const reading = this.#readRecent(this.#jetstream, subject, maxAgeMs).catch((error: unknown) => {
      this.#log.debug({ err: error, subject }, 'The recent messages could not be read');
      return [];
    });
    return Promise.race([reading, delay(recentTimeoutMs, [], { ref: false })]);
  }

  async newest(stream: StreamName, count: number): Promise<readonly Uint8Array[]> {
    if (this.#jetstream === undefined) throw new Error('NATS is not connected');
    return this.#readNewest(this.#jetstream, stream, count);
  }

  async request(subject: string, body: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    if (!this.#isConnected || this.#connection === undefined) throw new Error('NATS is not connected');
    return (await this.#connection.request(subject, body, { timeout: timeoutMs })).data;
  }

  subscribe(subject: string, listener: Listener): Subscription {
    let topic = this.#topics.get(subject);
    if (topic === undefined) {
      topic = { listeners: new Set(), subscription: undefined };
      this.#topics.set(subject, topic);
      this.#open(subject, topic);
    }
    topic.listeners.add(listener);
    const settled = () => this.#settled();
    return {
      get ready() {
        return settled();
      },
      close: () => this.#unsubscribe(subject, listener),
    };
  }

  onConnect(action: () => void): void {
    this.#onConnect.push(action);
    if (this.#isConnected) action();
  }

  onConnection(action: (connection: NatsConnection) => void): void {
    this.#onConnection.push(action);
    if (this.#connection !== undefined) action(this.#connection);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#isConnected = false;
    this.#streams.leave();
    if (this.#connection === undefined) return;
    await this.#connection.close();
    this.#acks?.close();
    await this.#connecting;
  }

  async #readNewest(js: JetStreamClient, stream: StreamName, count: number): Promise<Uint8Array[]> {
    const manager = await js.jetstreamManager(false);
    const { last_seq: last, first_seq: first } = (await manager.streams.info(stream)).state;
    const bodies: Uint8Array[] = [];
    for (let seq = last; seq >= Math.max(first, 1) && seq > last - count; seq -= 1) {
      const message = await manager.streams.getMessage(stream, { seq });
      if (message !== null) bodies.push(message.data);
    }
    return bodies;
  }

  /** Reads the newest message first: without one, which is the normal case, no consumer is created. */
  async #readRecent(js: JetStreamClient, subject: string, maxAgeMs: number): Promise<Recent[]> {
    const stream = streamOf(subject);
    const manager = await js.jetstreamManager(false);
    const last = await manager.streams.getMessage(stream, { last_by_subj: subject });
    if (last === null) return [];
    const since = new Date(last.time.getTime() - maxAgeMs).toISOString();
    const options = { filter_subjects: subject, deliver_policy: DeliverPolicy.StartTime, opt_start_time: since };
    const askedAt = performance.now();
    const consumer = await js.consumers.get(stream, options);
    try {
      // Our clock and the server's may differ. The creation of the consumer, at `askedAt` or a little later, is known by both.
      const madeAt = Date.parse((await consumer.info(true)).created);
      const messages = await consumer.fetch({ max_messages: maxRecent, expires: recentTimeoutMs });
      const recent: Recent[] = [];
      for await (const { data, seq, time } of messages) {
        const at = askedAt - (madeAt - time.getTime());
        if (at > askedAt - maxAgeMs) recent.push({ body: data, at });
        if (seq >= last.seq) break;
      }
      return recent;
    } finally {
      await consumer.delete();
    }
  }

  async #connect(): Promise<void> {
    for (let attempt = 1; !this.#isClosed; attempt++) {
      try {
        const connection = await connect(this.#options);
        if (this.#isClosed) return void (await connection.close());
        this.#use(connection);
        return;
      } catch (error) {
        const level = attempt % attemptsPerWarning === 1 ? 'warn' : 'debug';
        this.#log[level]({ err: error, attempt }, 'NATS cannot be reached yet; live delivery uses the database');
        await new Promise((resolve) => setTimeout(resolve, reconnectWaitMs).unref());
      }
    }
  }

  #use(connection: NatsConnection): void {
    this.#connection = connection;
    this.#jetstream = jetstream(connection);
    this.#acks?.close();
    this.#acks = new AckInbox(connection, inboxPrefix);
    void this.#watch(connection);
    void connection.closed().then(() => this.#startAnew());
    for (const [subject, topic] of this.#topics) this.#open(subject, topic);
    for (const action of this.#onConnection) this.#attempt(() => action(connection));
    this.#up();
  }

  /** Replaces a connection that the client has given up, which hardly ever happens: it reconnects by itself. */
  #startAnew(): void {
    if (this.#isClosed) return;
    this.#isConnected = false;
    this.#connection = undefined;
    this.#jetstream = undefined;
    this.#streams.leave();
    this.#connecting = this.#connect();
  }

  async #watch(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type === 'disconnect') {
        this.#isConnected = false;
        this.#streams.leave();
        this.#log.warn('NATS is disconnected; live delivery falls back to the database');
      } else if (status.type === 'reconnect') {
        this.#up();
      } else if (status.type === 'error') {
        this.#log.error({ err: status.error }, 'NATS reported an error');
      }
    }
  }

  #up(): void {
    this.#isConnected = true;
    this.#log.info('NATS is connected');
    if (this.#connection !== undefined) this.#streams.use(this.#connection);
    for (const action of this.#onConnect) this.#attempt(action);
  }

  /** A callback that throws must not keep the others from running. */
  #attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#log.error({ err: error }, 'A callback for the NATS connection failed');
    }
  }

  #open(subject: string, topic: Topic): void {
    const { received } = this.#traffic.of(subject);
    topic.subscription = this.#connection?.subscribe(subject, {
      callback: (error, message) => {
        if (error !== null) {
          this.#log.error({ err: error, subject }, 'A NATS subscription failed');
          return;
        }
        note(received, message.data);
        for (const listener of topic.listeners) this.#deliver(listener, subject, message.data);
      },
    });
  }

  /** Never throws: an exception would end the NATS client's reader for good, and any client may publish any body. */
  #deliver(listener: Listener, subject: string, body: Uint8Array): void {
    try {
      listener(body);
    } catch (error) {
      if (!(error instanceof ForeignBodyError))
        this.#log.error({ err: error, subject }, 'A NATS message could not be processed');
      else {
        this.#foreign.note((times) =>
          this.#log.warn({ err: error, subject, times }, 'Ignored a message that Fairway did not publish'),
        );
      }
    }
  }

  #unsubscribe(subject: string, listener: Listener): void {
    const topic = this.#topics.get(subject);
    if (topic === undefined || !topic.listeners.delete(listener) || topic.listeners.size > 0) return;
    this.#topics.delete(subject);
    topic.subscription?.unsubscribe();
  }

  /** One round trip to the server for all callers of this event loop turn: earlier subscriptions have taken effect then. */
  #settled(): Promise<void> {
    this.#settling ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#settling = undefined;
        resolve(this.#settle());
      });
    });
    return this.#settling;
  }

  /** Waits for a short time only: the sweep finds entries that were missed. */
  async #settle(): Promise<void> {
    if (!this.#isConnected || this.#connection === undefined) return;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, readyTimeoutMs);
    });
    await Promise.race([this.#connection.flush().catch(() => undefined), timeout]);
    clearTimeout(timer);
  }
}

const toConnectionOptions = ({ url, user, password, creds }: NatsOptions): ConnectionOptions => ({
  servers: url.split(',').map((server) => server.trim()),
  name: 'fairway',
  inboxPrefix,
  maxReconnectAttempts: -1,
  timeout: connectTimeoutMs,
  reconnectTimeWait: reconnectWaitMs,
  reconnectJitter: 100,
  // The server may refuse our password for a while, for example while it is being changed: keep trying.
  ignoreAuthErrorAbort: true,
  pingInterval: pingIntervalMs,
  maxPingOut: maxPingsOut,
  ...(user !== undefined && password !== undefined ? { user, pass: password } : {}),
  ...(creds !== undefined ? { authenticator: credsAuthenticator(readFileSync(creds)) } : {}),
});
