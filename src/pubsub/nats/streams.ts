import { isDeepStrictEqual } from 'node:util';
import {
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';

const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const dayMs = 24 * 60 * minuteMs;

/** The streams that Fairway creates. */
export const streams = [
  {
    name: 'CHAT_MESSAGES',
    subjects: ['chat.room.*.message', 'chat.dm.*.message'],
    storage: StorageType.File,
    max_age: nanos(30 * dayMs),
    // Longer than any delay before an entry is published again.
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
    // Only hints: the table says what is to be done, and a sweep finds what was lost here.
    name: 'CHAT_FILE_WORK',
    subjects: ['chat.file.work'],
    storage: StorageType.File,
    max_age: nanos(2 * dayMs),
    duplicate_window: nanos(2 * minuteMs),
  },
  {
    name: 'CHAT_DEAD_LETTERS',
    subjects: ['chat.dead-letter.>'],
    storage: StorageType.File,
    max_age: nanos(30 * dayMs),
    duplicate_window: nanos(2 * minuteMs),
  },
] as const;

/** The stream of files with work to do. */
export const fileWorkStream: StreamName = 'CHAT_FILE_WORK';
/** The stream of the room logs. */
export const messagesStream: StreamName = 'CHAT_MESSAGES';
export type StreamName = (typeof streams)[number]['name'];

/** The stream that stores the subject. @throws {Error} if none does */
export function streamOf(subject: string): string {
  const kind = subject.slice(subject.lastIndexOf('.'));
  const stream = streams.find(({ subjects }) => subjects.some((pattern) => pattern.endsWith(kind)));
  if (stream === undefined) throw new Error(`No stream keeps ${subject}`);
  return stream.name;
}

/**
 * Creates the stream if it is missing, and corrects the settings that we need; other settings of the operator are kept. Safe
 * to run on all instances at the same time.
 * @throws the NATS client's errors
 */
export async function ensureStream(
  manager: JetStreamManager,
  { subjects, ...stream }: (typeof streams)[number],
  replicas: number,
): Promise<void> {
  const wanted = {
    ...stream,
    subjects: [...subjects],
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    num_replicas: replicas,
  };
  const present = await findConfig(manager, stream.name);
  if (present === undefined) await manager.streams.add(wanted);
  else if (!isAs(present, wanted)) await manager.streams.update(stream.name, wanted);
}

async function findConfig(manager: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await manager.streams.info(name)).config;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound) return undefined;
    throw error;
  }
}

const isAs = (present: StreamConfig, wanted: Partial<StreamConfig>): boolean =>
  Object.entries(wanted).every(([name, value]) => isDeepStrictEqual(present[name as keyof StreamConfig], value));
