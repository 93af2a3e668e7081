import { patienceMs, waitFor } from './wait-for.js';

/** The default `Accept` of Apollo Client for subscriptions over HTTP. */
export const apolloAccept = 'multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json';

/** A part of Apollo's multipart protocol; a heartbeat has neither field. */
export interface Part {
  readonly payload?: { readonly data?: Record<string, unknown>; readonly errors?: readonly unknown[] } | null;
  readonly errors?: readonly unknown[];
}

/** A subscription in Apollo's multipart protocol, read as Apollo iOS reads it: a part ends with the next boundary. */
export class MultipartStream {
  readonly parts: Part[] = [];
  /** Whether it ended with the last boundary or without one. */
  end: 'complete' | 'cut' | undefined;
  readonly #abort = new AbortController();

  static async open(url: string, token: string, operation: unknown): Promise<MultipartStream> {
    const stream = new MultipartStream();
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: apolloAccept, authorization: `Bearer ${token}` },
      body: JSON.stringify(operation),
      signal: stream.#abort.signal,
    });
    const type = response.headers.get('content-type');
    if (type !== 'multipart/mixed;boundary=graphql;subscriptionSpec=1.0') {
      throw new Error(`${response.status} ${type}: ${await response.text()}`);
    }
    void stream.#read(response);
    return stream;
  }

  get events(): Record<string, unknown>[] {
    return this.parts.flatMap(({ payload }) => (payload?.data == null ? [] : [payload.data]));
  }

  count(events: number): Promise<true> {
    return waitFor(() => this.events.length >= events, { what: `${events} events in parts` });
  }

  ended(timeoutMs = patienceMs): Promise<'complete' | 'cut'> {
    return waitFor(() => this.end, { what: 'the end of the parts', timeoutMs });
  }

  stop(): void {
    this.#abort.abort();
  }

  async #read({ body }: Response): Promise<void> {
    let rest = '';
    try {
      for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
        const pieces = (rest + chunk).split('\r\n--graphql');
        rest = pieces.pop() ?? '';
        for (const piece of pieces) this.#accept(piece);
      }
    } catch {
      // The connection was cut.
    }
    this.end = rest === '--\r\n' ? 'complete' : 'cut';
  }

  #accept(piece: string): void {
    if (piece === '') return;
    const [head, body = ''] = piece.split('\r\n\r\n');
    if (head !== '\r\nContent-Type: application/json') throw new Error(`A part begins with ${JSON.stringify(head)}`);
    this.parts.push(JSON.parse(body) as Part);
  }
}
