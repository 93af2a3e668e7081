import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { sendInOrder } from '../../clients/retry.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const room = 'room';
const codeOf = (error: unknown) => (typeof error === 'string' ? error : 'NETWORK');
const send = <T>(client: object, attempt: () => Promise<T>, roomId = room) =>
  sendInOrder(client, roomId, attempt, codeOf, () => undefined);

it('sends to a room one after another, and to others meanwhile', async () => {
  const client = {};
  const sent: string[] = [];
  let answer = () => {};
  const first = send(client, () => {
    sent.push('first');
    return new Promise<void>((resolve) => {
      answer = resolve;
    });
  });
  const second = send(client, async () => sent.push('second'));
  await send(client, async () => sent.push('of another room'), 'another');
  expect(sent).toEqual(['first', 'of another room']);
  answer();
  await Promise.all([first, second]);
  expect(sent).toEqual(['first', 'of another room', 'second']);
});

it('repeats what gets no answer, for about a minute', async () => {
  let attempts = 0;
  const began = Date.now();
  const sent = send({}, async () => {
    attempts += 1;
    if (attempts === 1) await new Promise(() => undefined);
    throw 'NETWORK';
  }).catch((error: unknown) => [error, Date.now() - began]);
  await vi.advanceTimersByTimeAsync(14_000);
  expect(attempts).toBe(1);
  await vi.runAllTimersAsync();
  const [code, ms] = (await sent) as [string, number];
  expect(code).toBe('NETWORK');
  expect(attempts).toBe(11);
  expect(ms).toBeGreaterThan(40_000);
  expect(ms).toBeLessThan(110_000);
});

it('goes on behind a refusal, and gives up what waits behind a message that is given up', async () => {
  const client = {};
  const outcomes = [
    send(client, () => Promise.reject('CONFLICT')),
    send(client, async () => 'sent'),
    send(client, () => Promise.reject('UNAVAILABLE')),
    send(client, async () => 'sent'),
  ];
  const settled = Promise.allSettled(outcomes);
  await vi.runAllTimersAsync();
  expect((await settled).map((it) => (it.status === 'fulfilled' ? it.value : it.reason))).toEqual([
    'CONFLICT',
    'sent',
    'UNAVAILABLE',
    'UNAVAILABLE',
  ]);
  expect(await send(client, async () => 'sent')).toBe('sent');
});
