import { type Aggregator, Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { type LaterKind, laterKinds } from '../pubsub/live/intervals.js';
import type { KindTraffic } from '../pubsub/nats/traffic.js';

export interface MetricSources {
  readonly sockets: () => number;
  readonly streams: () => number;
  readonly unreadBytes: () => number;
  readonly roomFeeds: () => number;
  readonly typingRooms: () => number;
  readonly watchedUsers: () => number;
  readonly inboxes: () => number;
  readonly keptNames: () => number;
  readonly natsSubjects: () => number;
  readonly isNatsConnected: () => boolean;
  readonly natsRequests: () => number;
  readonly natsIgnored: () => number;
  readonly natsTraffic: () => ReadonlyMap<string, KindTraffic>;
  readonly natsUnanswered: () => number;
  readonly failingStreams: () => number;
  readonly backlog: () => { readonly entries: number; readonly oldestMs: number };
  /** The worst value since the last call. */
  readonly worstLateMs: (what: 'loopMs' | 'entriesMs') => number;
  readonly intervalMs: (kind: LaterKind) => number;
  /** Undefined if the server has no storage. */
  readonly files: { readonly swept: { readonly orphans: number; readonly missing: number } | null } | undefined;
  readonly sends: { readonly waiting: number; readonly slowed: number; readonly refused: number };
}

/**
 * The metrics of this instance, for Prometheus. Those of several workers are added up, except where `aggregator` says
 * otherwise: `max` for what every instance sees of the same thing.
 * @param worker - the number of the worker that this instance is, if it is one
 */
export function createMetrics(sources: MetricSources, worker?: number): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, read: () => number, aggregator: Aggregator = 'sum') =>
    new Gauge({
      name,
      help,
      aggregator,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  const counter = (name: string, help: string, read: () => number) =>
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  gauge('fairway_sockets', 'Open WebSocket connections', sources.sockets);
  gauge('fairway_streams', 'Open HTTP streams of subscriptions', sources.streams);
  gauge('fairway_unread_bytes', 'Bytes of answers that wait for their readers', sources.unreadBytes);
  gauge('fairway_room_feeds', 'Rooms with a subscriber on this instance', sources.roomFeeds);
  gauge('fairway_typing_rooms', 'Rooms with a typing subscription on this instance', sources.typingRooms);
  gauge('fairway_watched_users', 'Users with a presence subscription on them on this instance', sources.watchedUsers);
  gauge('fairway_inboxes', 'Users with an inbox subscription on this instance', sources.inboxes);
  gauge('fairway_kept_names', 'Names of users and confirmed memberships that this instance keeps', sources.keptNames);
  gauge('fairway_nats_subjects', 'NATS subjects that this instance is subscribed to', sources.natsSubjects);
  gauge('fairway_nats_requests', 'Requests of other backends in progress', sources.natsRequests);
  gauge('fairway_nats_connected', '1 while NATS is connected', () => (sources.isNatsConnected() ? 1 : 0), 'min');
  gauge(
    'fairway_streams_missing',
    'JetStream streams that are missing or not configured as required',
    sources.failingStreams,
    'max',
  );
  gauge(
    'fairway_outbox_entries',
    'Committed log entries that CHAT_MESSAGES has not acknowledged',
    () => sources.backlog().entries,
    'max',
  );
  gauge(
    'fairway_outbox_seconds',
    'Age in seconds of the oldest entry of fairway_outbox_entries; above 10 /readyz is degraded',
    () => sources.backlog().oldestMs / 1_000,
    'max',
  );
  addTraffic(registry, sources.natsTraffic);
  if (worker !== undefined) addShare(registry, worker, sources.sockets);
  counter(
    'fairway_nats_unanswered_total',
    'NATS requests ignored because their reply subject begins with none of NATS_REPLY_PREFIXES',
    sources.natsUnanswered,
  );
  counter(
    'fairway_nats_ignored_total',
    'NATS messages ignored because they are not in the form that Fairway publishes',
    sources.natsIgnored,
  );
  gauge(
    'fairway_loop_late_seconds',
    'How late the event loop was at worst since the last read',
    () => sources.worstLateMs('loopMs') / 1_000,
    'max',
  );
  gauge(
    'fairway_entries_late_seconds',
    'How late log entries were delivered at worst since the last read; peers that do not read, and the worst of a hundred users, do not count',
    () => sources.worstLateMs('entriesMs') / 1_000,
    'max',
  );
  new Gauge({
    name: 'fairway_interval_seconds',
    help: 'The present interval of what is delivered after the log entries, by kind',
    labelNames: ['kind'],
    aggregator: 'max',
    registers: [registry],
    collect() {
      for (const kind of laterKinds) this.set({ kind }, sources.intervalMs(kind) / 1_000);
    },
  });
  gauge('fairway_sends_waiting', 'Sends that wait because log entries are delivered late', () => sources.sends.waiting);
  counter(
    'fairway_sends_slowed_total',
    'Sends that had to wait for that reason, with those that were refused',
    () => sources.sends.slowed,
  );
  gauge(
    'fairway_files_without_row',
    'Objects in the storage that no row needs, as the hourly sweep of any instance has found; erased when they are 7 days old',
    () => sources.files?.swept?.orphans ?? Number.NaN,
    'max',
  );
  gauge(
    'fairway_files_without_bytes',
    'Rows of files whose bytes are not in the storage, as the same sweep has found',
    () => sources.files?.swept?.missing ?? Number.NaN,
    'max',
  );
  counter('fairway_sends_refused_total', 'Sends that were refused for that reason', () => sources.sends.refused);
  return registry;
}

/** Counters of what the instances tell each other, with the kind of subject as their label. */
function addTraffic(registry: Registry, read: MetricSources['natsTraffic']): void {
  const counter = (name: string, help: string, count: (traffic: KindTraffic) => number) =>
    new Counter({
      name,
      help,
      labelNames: ['kind'],
      registers: [registry],
      collect() {
        this.reset();
        for (const [kind, traffic] of read()) this.inc({ kind }, count(traffic));
      },
    });
  counter(
    'fairway_nats_published_total',
    "Messages published to the instances, by `kind`, the subject's last word: message, read, typing, presence, acked and others",
    ({ published }) => published.messages,
  );
  counter(
    'fairway_nats_published_bytes_total',
    'Bytes of the bodies of fairway_nats_published_total',
    ({ published }) => published.bytes,
  );
  counter(
    'fairway_nats_received_total',
    "Messages received from the instances, this one's own included, by `kind`",
    ({ received }) => received.messages,
  );
  counter(
    'fairway_nats_received_bytes_total',
    'Bytes of the bodies of fairway_nats_received_total',
    ({ received }) => received.bytes,
  );
}

/** The label shows how evenly the workers share the sockets. */
function addShare(registry: Registry, worker: number, sockets: () => number): void {
  new Gauge({
    name: 'fairway_worker_sockets',
    help: 'Open WebSocket connections of each `worker`, if `WORKERS` is more than 1',
    labelNames: ['worker'],
    registers: [registry],
    collect() {
      this.set({ worker }, sockets());
    },
  });
}
