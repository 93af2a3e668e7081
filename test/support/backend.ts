import { type ConnectionOptions, connect, type NatsConnection, type Payload } from '@nats-io/transport-node';
import type { Login, TestNats } from './nats.js';

/** The answer to a request over NATS. */
export interface BackendAnswer {
  readonly success: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: the subjects return different types; each test has its expectation
  readonly data?: any;
  readonly error?: string;
  readonly code?: string;
  readonly retryAfterMs?: number;
  readonly nextCursor?: string | null;
}

const timeoutMs = 30_000;

/** Another backend of the platform, with its own connection to NATS. */
export class Backend {
  private constructor(readonly connection: NatsConnection) {}

  static async connect(
    nats: TestNats,
    login: Login = nats.logins.backend,
    options: ConnectionOptions = {},
  ): Promise<Backend> {
    return new Backend(await connect({ servers: nats.url, maxReconnectAttempts: -1, ...options, ...login }));
  }

  /** Sends plain JSON. */
  ask(subject: string, payload: unknown): Promise<BackendAnswer> {
    return this.askRaw(subject, JSON.stringify(payload));
  }

  async askRaw<T = BackendAnswer>(subject: string, body: Payload, waitMs = timeoutMs): Promise<T> {
    const message = await this.connection.request(subject, body, { timeout: waitMs });
    return message.json<T>();
  }

  /** Sends the envelope of NestJS's client, and returns the `response` from the answer's envelope. */
  async askAsNest(subject: string, data: unknown): Promise<BackendAnswer> {
    const answer = await this.askRaw<Record<string, unknown>>(
      subject,
      JSON.stringify({ pattern: subject, data, id: 'request-1' }),
    );
    if (answer['id'] !== 'request-1' || answer['isDisposed'] !== true) {
      throw new Error(`Not an answer to NestJS: ${JSON.stringify(answer)}`);
    }
    return answer['response'] as BackendAnswer;
  }

  close(): Promise<void> {
    return this.connection.close();
  }
}
