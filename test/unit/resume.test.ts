import type { Client, FormattedExecutionResult, Sink, SubscribePayload } from 'graphql-ws';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createResumingSocket, resuming } from '../../clients/resume.js';

const query =
  'subscription ($afterSeq: Int, $epoch: ID) { roomEvents(afterSeq: $afterSeq, epoch: $epoch) { seq epoch } }';
const event = (seq: number) => ({ roomEvents: { seq, epoch: 'e' } });
const unavailable = [
  { message: 'away', extensions: { code: 'UNAVAILABLE' } },
] as unknown as FormattedExecutionResult['errors'];

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('resumes behind the last event that it passed on, if a subscription ends that may be started again', () => {
  const { client, begun, handedOn } = createClient();
  client.subscribe({ query, variables: { afterSeq: 1 } }, handedOn.sink);
  begun[0]?.sink.next({ data: event(2) });
  begun[0]?.sink.next({ errors: unavailable ?? [] });
  begun[0]?.sink.complete();
  vi.advanceTimersByTime(2_000);

  expect(begun.map(({ variables }) => variables)).toEqual([{ afterSeq: 1 }, { afterSeq: 2, epoch: 'e' }]);
  expect([handedOn.seqs, handedOn.isComplete]).toEqual([[2], false]);
});

it('passes on an event with a missing part, and continues behind it', () => {
  const { client, begun, handedOn } = createClient();
  client.subscribe({ query, variables: { afterSeq: 1 } }, handedOn.sink);
  begun[0]?.sink.next({ data: event(2), errors: unavailable ?? [] });
  begun[0]?.sink.next({ data: event(3) });

  expect(handedOn.seqs).toEqual([2, 3]);
});

it.each([
  ['the network is back', 'online'],
  ['the page is shown again', 'visibilitychange'],
])('connects at once when %s, and within 12 s otherwise', async (_what, kind) => {
  const page = Object.assign(new EventTarget(), { document: { visibilityState: 'hidden' } });
  for (const name of ['addEventListener', 'removeEventListener'] as const) vi.stubGlobal(name, page[name].bind(page));
  vi.stubGlobal('document', page.document);
  let attempts = 0;
  class Refused {
    static readonly CONNECTING = 0;
    static readonly OPEN = 1;
    static readonly CLOSING = 2;
    static readonly CLOSED = 3;
    onclose: (event: object) => void = () => undefined;
    constructor() {
      attempts += 1;
      setTimeout(() => this.onclose({ code: 1006, reason: '' }), 0);
    }
    close() {}
  }
  const socket = createResumingSocket('http://127.0.0.1/graphql', async () => '', { webSocketImpl: Refused });
  const stop = socket.subscribe(
    { query },
    { next: () => undefined, error: () => undefined, complete: () => undefined },
  );
  await vi.advanceTimersByTimeAsync(60_000);
  const before = attempts;
  await vi.advanceTimersByTimeAsync(12_100);
  expect(attempts).toBeGreaterThan(before);
  // Just after an attempt, so that the next one is not due.
  const current = attempts;
  while (attempts === current) await vi.advanceTimersByTimeAsync(10);
  await vi.advanceTimersByTimeAsync(10);
  page.document.visibilityState = 'visible';
  page.dispatchEvent(new Event(kind));
  await vi.advanceTimersByTimeAsync(100);
  expect(attempts).toBe(current + 2);
  stop();
  vi.unstubAllGlobals();
});

/** A client whose subscriptions the test drives through `begun`. */
function createClient() {
  const begun: { readonly variables: unknown; readonly sink: Sink<FormattedExecutionResult> }[] = [];
  const handedOn = {
    seqs: [] as number[],
    isComplete: false,
    sink: {
      next: ({ data }: FormattedExecutionResult<Record<string, unknown>>) =>
        void handedOn.seqs.push((data as ReturnType<typeof event>).roomEvents.seq),
      error: () => undefined,
      complete: () => {
        handedOn.isComplete = true;
      },
    },
  };
  const client = resuming({
    subscribe: ({ variables }: SubscribePayload, sink: Sink<FormattedExecutionResult>) => {
      begun.push({ variables: { ...variables }, sink });
      return () => undefined;
    },
  } as unknown as Client);
  return { client, begun, handedOn };
}
