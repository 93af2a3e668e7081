import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { TestNats } from './nats.js';

export interface StoredMessage {
  /** Its `Nats-Msg-Id`. */
  readonly id: string;
  readonly subject: string;
  readonly body: Record<string, unknown>;
}

/** Reads all messages of CHAT_MESSAGES, in order. */
export async function readChatMessages({ url, logins }: TestNats): Promise<StoredMessage[]> {
  const connection = await connect({ servers: url, ...logins.operator });
  try {
    const { state } = await (await jetstreamManager(connection)).streams.info('CHAT_MESSAGES');
    const stored: StoredMessage[] = [];
    if (state.messages === 0) return stored;
    const consumer = await jetstream(connection).consumers.get('CHAT_MESSAGES');
    for await (const message of await consumer.consume()) {
      const id = message.headers?.get('Nats-Msg-Id') ?? '';
      stored.push({ id, subject: message.subject, body: message.json() });
      if (message.seq >= state.last_seq) break;
    }
    return stored;
  } finally {
    await connection.close();
  }
}
