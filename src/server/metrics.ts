import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

export interface MetricSources {
  readonly sockets: () => number;
  readonly streams: () => number;
  readonly unreadBytes: () => number;
  readonly roomFeeds: () => number;
  readonly typingRooms: () => number;
  readonly watchedUsers: () => number;
  readonly inboxes: () => number;
  readonly natsSubjects: () => number;
  readonly isNatsConnected: () => boolean;
  readonly natsRequests: () => number;
  readonly natsIgnored: () => number;
  readonly natsUnanswered: () => number;
  readonly failingStreams: () => number;
  readonly backlog: () => { readonly entries: number; readonly oldestMs: number };
}

/** The metrics of this process, for Prometheus. */
export function createMetrics(sources: MetricSources): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
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
  gauge('fairway_nats_subjects', 'NATS subjects that this instance is subscribed to', sources.natsSubjects);
  gauge('fairway_nats_requests', 'Requests of other backends in progress', sources.natsRequests);
  gauge('fairway_nats_connected', '1 while NATS is connected', () => (sources.isNatsConnected() ? 1 : 0));
  gauge(
    'fairway_streams_missing',
    'JetStream streams that are missing or not configured as required',
    sources.failingStreams,
  );
  gauge(
    'fairway_outbox_entries',
    'Committed log entries that CHAT_MESSAGES has not acknowledged',
    () => sources.backlog().entries,
  );
  gauge(
    'fairway_outbox_seconds',
    'Age in seconds of the oldest entry of fairway_outbox_entries; above 10 /readyz is degraded',
    () => sources.backlog().oldestMs / 1_000,
  );
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
  return registry;
}
