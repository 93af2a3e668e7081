import { DiscardPolicy, type JetStreamManager, RetentionPolicy, StorageType } from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';

const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const dayMs = 24 * 60 * minuteMs;

const streams = [
  {
    name: 'CHAT_MESSAGES',
    subjects: ['chat.room.*.message', 'chat.dm.*.message'],
    storage: StorageType.File,
    max_age: nanos(30 * dayMs),
    // Longer than any pause after which an entry is published again.
    duplicate_window: nanos(2 * minuteMs),
  },
  {
    name: 'CHAT_PRESENCE',
    subjects: ['chat.user.*.presence'],
    storage: StorageType.Memory,
    max_age: nanos(5 * minuteMs),
    duplicate_window: nanos(2 * minuteMs),
  },
  {
    name: 'CHAT_TYPING',
    subjects: ['chat.room.*.typing'],
    storage: StorageType.Memory,
    max_age: nanos(10 * secondMs),
    duplicate_window: nanos(10 * secondMs),
  },
  {
    name: 'CHAT_DEAD_LETTERS',
    subjects: ['chat.dead-letter.>'],
    storage: StorageType.File,
    max_age: nanos(30 * dayMs),
    duplicate_window: nanos(2 * minuteMs),
  },
] as const;

/** The stream that keeps what is told on the subject. @throws {Error} where none does */
export function streamOf(subject: string): string {
  const kind = subject.slice(subject.lastIndexOf('.'));
  const stream = streams.find(({ subjects }) => subjects.some((pattern) => pattern.endsWith(kind)));
  if (stream === undefined) throw new Error(`No stream keeps ${subject}`);
  return stream.name;
}

/**
 * Makes the streams that are missing and brings those that are there up to date. Safe to run on every instance at once.
 * @throws the NATS client's errors
 */
export async function ensureStreams(manager: JetStreamManager, replicas: number): Promise<void> {
  const present = new Set<string>();
  for await (const { config } of manager.streams.list()) present.add(config.name);
  for (const { subjects, ...stream } of streams) {
    const config = {
      ...stream,
      subjects: [...subjects],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      num_replicas: replicas,
    };
    if (present.has(stream.name)) await manager.streams.update(stream.name, config);
    else await manager.streams.add(config);
  }
}
