import { createInbox, headers, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { every, type Loop } from '../../domain/every.js';

const timeoutMs = 5_000;
const timeoutCheckMs = 500;

interface Waiting {
  readonly stream: string;
  readonly since: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * Publishes into streams and receives all acknowledgements on one subscription. The NATS client's own publish opens a request
 * with its own timer for each message, which costs several times more.
 */
export class AckInbox {
  readonly #connection: NatsConnection;
  readonly #inbox: string;
  /** Keyed by the last token of the reply subject; the oldest first. */
  readonly #waiting = new Map<string, Waiting>();
  #count = 0;
  #checking: Loop | undefined;

  constructor(connection: NatsConnection, inboxPrefix: string) {
    this.#connection = connection;
    this.#inbox = createInbox(inboxPrefix);
    connection.subscribe(`${this.#inbox}.*`, { callback: (error, message) => this.#take(error, message) });
  }

  /**
   * Resolves once the stream has stored the message, or if it had stored one with this id before. Rejects if the stream
   * refuses it, if another stream or none takes the subject, if the body is too large, and if no answer comes within 5 s.
   */
  async publish(stream: string, subject: string, body: Uint8Array, id: string): Promise<void> {
    this.#count += 1;
    const token = this.#count.toString(36);
    const about = headers();
    about.set('Nats-Msg-Id', id);
    this.#connection.publish(subject, body, { headers: about, reply: `${this.#inbox}.${token}` });
    this.#checking ??= every(timeoutCheckMs, () => this.#giveUp());
    return new Promise((resolve, reject) =>
      this.#waiting.set(token, { stream, since: performance.now(), resolve, reject }),
    );
  }

  /** Rejects everything that waits. Call it when the connection has closed for good. */
  close(): void {
    for (const { reject } of this.#waiting.values()) reject(new Error('The connection to NATS was closed'));
    this.#waiting.clear();
    this.#rest();
  }

  #take(error: Error | null, message: Msg): void {
    if (error !== null) return;
    const token = message.subject.slice(this.#inbox.length + 1);
    const waiting = this.#waiting.get(token);
    if (waiting === undefined) return;
    this.#waiting.delete(token);
    this.#rest();
    const refusal = findRefusal(message, waiting.stream);
    if (refusal === null) waiting.resolve();
    else waiting.reject(new Error(`Not stored: ${refusal}`));
  }

  #giveUp(): void {
    const before = performance.now() - timeoutMs;
    for (const [token, { since, reject }] of this.#waiting) {
      if (since > before) break;
      this.#waiting.delete(token);
      reject(new Error('Not acknowledged in time'));
    }
    this.#rest();
  }

  #rest(): void {
    if (this.#waiting.size > 0) return;
    void this.#checking?.stop();
    this.#checking = undefined;
  }
}

/** The reason why the message was not stored, or null. Never throws: an exception would end the NATS client's reader. */
function findRefusal(message: Msg, wanted: string): string | null {
  try {
    if (message.headers?.code === 503) return 'no stream takes this subject';
    const { error, stream } = message.json<{ error?: { description?: string }; stream?: string }>();
    if (error !== undefined) return error.description ?? 'refused';
    return stream === wanted ? null : `${stream} took it, not ${wanted}`;
  } catch {
    return 'not an acknowledgement';
  }
}
