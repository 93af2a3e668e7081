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

/** What this process holds and how it fares, in Prometheus' text format. */
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
  gauge('fairway_room_feeds', 'Rooms that somebody listens to here', sources.roomFeeds);
  gauge('fairway_typing_rooms', 'Rooms where somebody here watches who types', sources.typingRooms);
  gauge('fairway_watched_users', 'Users whose presence somebody here watches', sources.watchedUsers);
  gauge('fairway_inboxes', 'Users who watch their inbox here', sources.inboxes);
  gauge('fairway_nats_subjects', 'NATS subjects that this process is subscribed to', sources.natsSubjects);
  gauge('fairway_nats_requests', 'Requests of other backends that are being answered', sources.natsRequests);
  gauge('fairway_nats_connected', '1 while NATS is connected', () => (sources.isNatsConnected() ? 1 : 0));
  gauge(
    'fairway_streams_missing',
    'JetStream streams that are missing or not as they have to be',
    sources.failingStreams,
  );
  gauge(
    'fairway_outbox_entries',
    'Committed log entries that the stream has not acknowledged',
    () => sources.backlog().entries,
  );
  gauge('fairway_outbox_seconds', 'Age of the oldest of them', () => sources.backlog().oldestMs / 1_000);
  counter(
    'fairway_nats_unanswered_total',
    'NATS requests whose reply subject is none that is answered',
    sources.natsUnanswered,
  );
  counter('fairway_nats_ignored_total', 'NATS messages that were not of ours, and ignored', sources.natsIgnored);
  return registry;
}
