import { AckPolicy, connect, type NatsConnection, nanos, RetentionPolicy, StorageType } from 'nats';

const day = 24 * 60 * 60 * 1_000;

/** How each of the three processes reaches NATS; Nest's own client and server take the same options. */
export const natsOptions = {
  servers: [process.env['NATS_URL'] ?? ''],
  user: process.env['NATS_USER'] ?? '',
  pass: process.env['NATS_PASSWORD'] ?? '',
  maxReconnectAttempts: -1,
};

/** A connection of its own for JetStream. `noEcho`: a gateway delivers its own messages itself. */
export const connectToNats = (): Promise<NatsConnection> => connect({ ...natsOptions, noEcho: true });

/** The three streams, with subjects, age and storage as documented. */
export async function ensureStreams(connection: NatsConnection): Promise<void> {
  const manager = await connection.jetstreamManager();
  const streams = [
    {
      name: 'CHAT_MESSAGES',
      subjects: ['chat.room.*.message', 'chat.dm.*.message'],
      storage: StorageType.File,
      age: 30 * day,
    },
    { name: 'CHAT_PRESENCE', subjects: ['chat.user.*.presence'], storage: StorageType.Memory, age: 300_000 },
    { name: 'CHAT_TYPING', subjects: ['chat.room.*.typing'], storage: StorageType.Memory, age: 10_000 },
  ];
  for (const { name, subjects, storage, age } of streams) {
    await manager.streams.add({ name, subjects, storage, max_age: nanos(age), retention: RetentionPolicy.Limits });
  }
}

export const consumerName = 'chat-service';

/** The durable consumer with which the service stores messages. */
export async function ensureConsumer(connection: NatsConnection): Promise<void> {
  const manager = await connection.jetstreamManager();
  await manager.consumers.add('CHAT_MESSAGES', {
    durable_name: consumerName,
    ack_policy: AckPolicy.Explicit,
    max_ack_pending: 1_000,
  });
}

/** Notifies the bench that this process serves. */
export const reportReady = (port: number): void => void process.send?.({ type: 'ready', port });

process.on('disconnect', () => process.exit());
process.on('SIGTERM', () => process.exit());
