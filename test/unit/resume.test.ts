import type { Client, FormattedExecutionResult, Sink, SubscribePayload } from 'graphql-ws';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { resuming } from '../../clients/resume.js';

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
