import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { Duplex, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setTimeout as delay, setImmediate as endOfTurn } from 'node:timers/promises';
import { type ExecutionResult, GraphQLError, parse } from 'graphql';
import { pino } from 'pino';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { describe, expect, it, vi } from 'vitest';
import type { WebSocket } from 'ws';
import { ChatError } from '../../src/domain/errors.js';
import type { RoomEvent } from '../../src/domain/room-event.js';
import { Slices } from '../../src/domain/slices.js';
import { PullSource } from '../../src/pubsub/live/pull-source.js';
import type { Deps } from '../../src/resolvers/deps.js';
import { schema } from '../../src/schema/index.js';
import { findWhatEventsDependOn } from '../../src/schema/of-viewer.js';
import { createMaskError } from '../../src/server/graphql/errors.js';
import { createEventTurns } from '../../src/server/graphql/event-executions.js';
import { execute as realExecute } from '../../src/server/graphql/execute.js';
import { SubscriptionBudget } from '../../src/server/graphql/limits/subscription-budget.js';
import { UnreadAnswers } from '../../src/server/graphql/limits/unread-answers.js';
import { createPrintResult } from '../../src/server/graphql/print.js';
import { ResultSender } from '../../src/server/graphql/result-sender.js';
import { createSubscribe, type Results } from '../../src/server/graphql/subscribe.js';
import { sendResults } from '../../src/server/http/body.js';
import { streamFormats } from '../../src/server/http/stream-formats.js';
import { ClientSocket } from '../../src/server/ws/client-socket.js';
import { nextFrameOf } from '../../src/server/ws/next-frames.js';

vi.mock('../../src/schema/of-viewer.js', { spy: true });

const log = pino({ level: 'silent' });
const printResult = createPrintResult(createMaskError(log, { suggestions: false }), 4_194_304);
const roomId = '0b5e7a1c-4d0f-4c6e-9a53-4f1d0a4e0002';
const document = parse(
  'subscription ($roomId: ID!, $afterSeq: Int) { roomEvents(roomId: $roomId, afterSeq: $afterSeq) { seq } }',
);

/** Every subscriber receives these same events; `execute` counts the executions. */
function createRoom(events: readonly RoomEvent[] = [{ kind: 'ready', epoch: '', seq: 7 }]) {
  const limits = { maxEventComplexity: 1_000, maxComplexity: 1_000, maxRoomMembers: 10 };
  const subscriptionRate = new RateLimiterMemory({ points: 1_000, duration: 60 });
  const deps = { limits, subscriptionRate, feeds: { subscribe: async () => new Told(events) } } as unknown as Deps;
  const execute = vi.fn(realExecute);
  const turns = createEventTurns({ complexityPerMinute: 1_000_000 });
  const subscribe = createSubscribe(execute, { budget: new SubscriptionBudget(1_000_000), turns });
  let lastUserId = 0;
  const transport = (userId?: number) => {
    lastUserId += 1;
    return { viewer: viewerOf(userId ?? lastUserId), isBehind: () => false, cutOff: () => undefined };
  };
  const open = async (
    what = document,
    variableValues: Record<string, unknown> = { roomId },
    userId?: number,
  ): Promise<Results> => {
    const results = await subscribe({
      schema,
      document: what,
      variableValues,
      contextValue: { deps, ...transport(userId) },
    });
    if (!('next' in results)) throw new Error(JSON.stringify(results));
    return results;
  };
  return {
    execute,
    open,
    first: async (...what: Parameters<typeof open>) => (await (await open(...what)).next()).value as ExecutionResult,
  };
}

/** Returns these events one after the other, and ends. */
class Told extends PullSource<RoomEvent> {
  readonly #events: RoomEvent[];

  constructor(events: readonly RoomEvent[]) {
    super();
    this.#events = [...events];
  }

  protected take(): RoomEvent | undefined {
    const event = this.#events.shift();
    if (event === undefined) void this.return();
    return event;
  }

  protected onEnd(): void {}
}

const viewerOf = (userId: number) => ({ userId, name: undefined, issuedAt: new Date(), expiresAt: new Date() });

describe('subscribers of one event', () => {
  it('share one execution and its result if they select the same', async () => {
    const { execute, first } = createRoom();
    const results = [await first(), await first(), await first(document, { roomId, afterSeq: 3 })];
    expect(results[0]).toEqual({ data: { roomEvents: { seq: 7 } } });
    expect(new Set(results).size).toBe(1);
    expect(execute).toHaveBeenCalledTimes(1);
  });

  it('have each document checked only once for fields that depend on the viewer', async () => {
    const { first } = createRoom();
    const once = parse('subscription ($roomId: ID!) { roomEvents(roomId: $roomId) { seq __typename } }');
    vi.mocked(findWhatEventsDependOn).mockClear();
    for (let times = 0; times < 3; times += 1) await first(once);
    expect(findWhatEventsDependOn).toHaveBeenCalledTimes(1);
  });

  it('have their own executions if they select something else, or fields that depend on the viewer', async () => {
    const { execute, first } = createRoom();
    await first();
    await first(parse('subscription ($roomId: ID!) { roomEvents(roomId: $roomId) { __typename } }'));
    expect(execute).toHaveBeenCalledTimes(2);

    const titles = parse(`subscription ($roomId: ID!) {
      roomEvents(roomId: $roomId) { seq ... on MessageAdded { message { room { title } } } } }`);
    await first(titles);
    await first(titles);
    expect(execute).toHaveBeenCalledTimes(4);
  });

  it('share an execution that depends on the viewer if they have the same viewer, and only for a moment', async () => {
    const { execute, first } = createRoom();
    const titles = parse(`subscription ($roomId: ID!) {
      roomEvents(roomId: $roomId) { seq ... on MessageAdded { message { room { title } } } } }`);

    const results = await Promise.all([4, 4, 5, 4].map((userId) => first(titles, { roomId }, userId)));
    expect(execute).toHaveBeenCalledTimes(2);
    expect(new Set(results).size).toBe(2);

    await delay(300);
    await first(titles, { roomId }, 4);
    expect(execute).toHaveBeenCalledTimes(3);
  });

  it('execute a few at a time for one viewer, whatever each of them selects', async () => {
    const { execute, first } = createRoom();
    let [underWay, most] = [0, 0];
    execute.mockImplementation(async () => {
      underWay += 1;
      most = Math.max(most, underWay);
      await delay(1);
      underWay -= 1;
      return { data: {} };
    });
    const texts = Array.from(
      { length: 40 },
      (_, index) => `subscription S${index} ($roomId: ID!) {
      roomEvents(roomId: $roomId) { seq ... on MessageAdded { message { room { title } } } } }`,
    );

    await Promise.all(texts.map((text) => first(parse(text), { roomId }, 4)));

    expect(execute).toHaveBeenCalledTimes(40);
    expect(most).toBe(4);
  });

  it('receive no event with a part that stays unreadable: they receive it when they start again', async () => {
    const { execute, first } = createRoom();
    const away = new GraphQLError('away', { originalError: new ChatError('UNAVAILABLE', 'away') });
    const { now } = performance;
    execute.mockImplementation(async () => {
      await endOfTurn();
      vi.spyOn(performance, 'now').mockImplementation(() => now.call(performance) + 200_000);
      return { data: { roomEvents: { seq: 7, message: { room: { lastMessage: null } } } }, errors: [away] };
    });

    const result = await first().finally(() => vi.mocked(performance.now).mockRestore());
    expect(result).toEqual({ errors: [away] });
  });

  it.each([
    [
      'SSE',
      streamFormats.sse,
      ':\n\nevent: next\ndata: {"data":{"roomEvents":{"seq":7}}}\n\nevent: complete\ndata:\n\n',
    ],
    [
      "Apollo's multipart protocol",
      streamFormats.multipart,
      '\r\n--graphql\r\nContent-Type: application/json\r\n\r\n{"payload":{"data":{"roomEvents":{"seq":7}}}}\r\n--graphql--\r\n',
    ],
  ])('share the result over %s as well, down to the bytes', async (_what, format, wanted) => {
    const { execute, open } = createRoom();
    const sent: Buffer[][] = [];
    for (const results of [await open(), await open()]) {
      const chunks: Buffer[] = [];
      sent.push(chunks);
      const write = (chunk: Buffer, _encoding: string, done: () => void) => {
        chunks.push(chunk);
        done();
      };
      const response = Object.assign(new Writable({ write }), { writeHead: () => undefined });
      await sendResults(results, response as unknown as ServerResponse, { format, print: printResult });
      await finished(response);
    }

    for (const chunks of sent) expect(Buffer.concat(chunks).toString()).toBe(wanted);
    expect(sent[0]?.[1]).toBe(sent[1]?.[1]);
    expect(execute).toHaveBeenCalledTimes(1);
  });
});

describe('the results for one socket in one turn', () => {
  it('are printed once for all sockets, differ only in the id, and are sent to each socket in one write', async () => {
    const print = vi.fn(() => ({ roomEvents: { seq: 7 } }));
    const shared = [1, 2, 3].map(() => ({ data: { toJSON: print } }) as unknown as ExecutionResult);
    const sockets = ['a', 'b'].map((id) => {
      const duplex = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
      const stream = Object.assign(duplex, { bytesRead: 0 });
      const webSocket = Object.assign(new EventEmitter(), { OPEN: 1, readyState: 1, bufferedAmount: 0 });
      const socket = new ClientSocket(webSocket as unknown as WebSocket, stream, {
        unread: new UnreadAnswers(4_194_304, new Slices()),
        log,
        pingTurn: 0,
      });
      const due = [...shared];
      const results = { poll: () => due.shift(), isIdle: true, listen: () => undefined } as unknown as Results;
      void new ResultSender(results, (result) => socket.push(nextFrameOf(result, id, printResult))).next();
      return { id, writes: vi.spyOn(stream, 'write') };
    });

    await endOfTurn();
    await endOfTurn();

    for (const { id, writes } of sockets) {
      expect(writes).toHaveBeenCalledTimes(1);
      const payload = `{"id":"${id}","type":"next","payload":{"data":{"roomEvents":{"seq":7}}}}`;
      expect(String(writes.mock.calls[0]?.[0]).split(payload)).toHaveLength(4);
    }
    expect(print).toHaveBeenCalledTimes(shared.length);
  });
});
