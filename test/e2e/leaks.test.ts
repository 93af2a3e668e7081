import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import type { TestClient } from '../support/client.js';
import { Inspector, inspectorEnv } from '../support/inspector.js';
import type { Instance } from '../support/instance.js';
import { metricsEnv, readMetrics } from '../support/metrics.js';
import { messageAdded, roomEvents } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { RawSocket } from '../support/wire.js';
import { useWorld } from '../support/world.js';

const cycles = 2_000;
/** After these, everything bounded is full: 5,000 cycles behind them leave 1.2 MB. */
const warmUpCycles = 1_250;
const parallel = 16;
const logLength = 500;
/** Less than the ping interval, because a ping would detect the loss as well. */
const goneMs = 5_000;
/** How long the pool keeps an idle connection to PostgreSQL. */
const poolIdleMs = 10_000;
/** 1.5 KB a cycle: a cursor, socket or stream that stays takes more. */
const maxGrownBytes = 3_000_000;

describeWithNats('a subscriber that vanishes', () => {
  // Idle connections of the streams would count.
  const world = useWorld({ instances: 1, env: { ...metricsEnv, ...inspectorEnv, KEEP_ALIVE_MS: '1000' } });
  let instance: Instance;
  let kim: TestClient;
  /** The first has a long log, the others hardly any. */
  let rooms: string[];

  beforeAll(async () => {
    instance = world.instances[0] as Instance;
    kim = await world.client(4);
    rooms = await Promise.all(Array.from({ length: 5 }, () => kim.group(5)));
    const long = rooms[0] as string;
    for (let sent = 0; sent < logLength; sent += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, index) => kim.send(long, `message ${sent + index}`)));
    }
  });

  it('leaves nothing behind: no socket, stream, feed, NATS subscription, timer or memory', {
    timeout: 180_000,
  }, async () => {
    const idle = await lowest(poolIdleMs + 2_000);
    expect([...idle].slice(0, 3)).toEqual(open.slice(0, 3).map((name) => [name, 0]));
    // Run the same cycles without measurement first, so that everything bounded is full.
    await whileTheyTalk(() => runCycles(warmUpCycles));
    await gone();
    const inspector = await Inspector.attach(instance);
    onTestFinished(() => inspector.detach());
    await settled((figures) => above(idle, figures));
    const before = await inspector.retainedBytes();

    let peak = 0;
    const watching = setInterval(async () => {
      peak = Math.max(peak, (await readMetrics(instance)).get('fairway_room_feeds') ?? 0);
    }, 200);
    await whileTheyTalk(() => runCycles(cycles));
    clearInterval(watching);

    await gone();
    await settled((figures) => above(idle, figures));
    const grown = (await inspector.retainedBytes()) - before;
    expect(grown).toBeLessThan(maxGrownBytes);
    expect(peak).toBeGreaterThan(1);
    expect(instance.output()).not.toMatch(/"level":[56]0/);
  });

  async function whileTheyTalk(run: () => Promise<void>): Promise<void> {
    const talking = setInterval(() => void kim.send(pick(rooms), 'meanwhile'), 20);
    await run();
    clearInterval(talking);
  }

  async function runCycles(count: number): Promise<void> {
    let next = 0;
    const worker = async () => {
      while (next < count) {
        next += 1;
        await vanish[next % vanish.length]?.(rooms[next % rooms.length] as string);
      }
    };
    await Promise.all(Array.from({ length: parallel }, worker));
  }

  const replay = (room = rooms[0]) => ({ query: roomEvents.toString(), variables: { roomId: room, afterSeq: 0 } });
  const live = (roomId: string) => ({ query: roomEvents.toString(), variables: { roomId } });
  const added = (roomId: string) => ({ query: messageAdded.toString(), variables: { roomId } });
  const isEvent = ({ type }: { type: string }) => type === 'next';

  /** The ways to vanish; each cycle takes the next one. */
  const vanish: ((room: string) => Promise<void>)[] = [
    async function onceItIsLive(room) {
      const socket = await RawSocket.connect(instance, kim.token);
      socket.subscribe('s', live(room));
      await socket.until(isEvent, 'the first event');
      socket.ws.terminate();
    },
    async function beforeItIsLive(room) {
      const socket = await RawSocket.connect(instance, kim.token);
      socket.subscribe('s', live(room));
      socket.subscribe('t', added(room));
      setImmediate(() => socket.ws.terminate());
    },
    async function afterUnsubscribing(room) {
      const socket = await RawSocket.connect(instance, kim.token);
      socket.subscribe('s', added(room));
      socket.send({ id: 's', type: 'complete' });
      socket.subscribe('s2', live(room));
      await socket.until(isEvent, 'the first event');
      socket.send({ id: 's2', type: 'complete' });
      await socket.ask({ query: '{ __typename }' });
      socket.ws.terminate();
    },
    async function inTheMiddleOfAReplay() {
      const socket = await RawSocket.connect(instance, kim.token);
      socket.subscribe('s', replay());
      await socket.until(isEvent, 'the first event');
      socket.ws.terminate();
    },
    async function beforeItIsLetIn() {
      const socket = new RawSocket(instance);
      await socket.init({ authorization: `Bearer ${kim.token}` });
      socket.ws.terminate();
    },
    async function withAProperClose(room) {
      const socket = await RawSocket.connect(instance, kim.token);
      socket.subscribe('s', live(room));
      socket.subscribe('r', replay());
      await socket.until(isEvent, 'the first event');
      socket.ws.close(1000);
      await socket.closeCode();
    },
    async function asAStreamInTheMiddleOfAReplay() {
      await abortStream(replay(), (text) => text.includes('MessageAdded'));
    },
    async function asAStreamThatIsLive(room) {
      await abortStream(live(room), (text) => text.includes('RoomReady'));
    },
    async function asAStreamThatHasHardlyBegun(room) {
      await abortStream(live(room), () => true);
    },
    async function asAStreamThatHasNotBegun(room) {
      await abortStream(live(room), () => true, Math.random() * 20);
    },
  ];

  /** Aborts once it has read enough, or after `afterMs`. */
  async function abortStream(operation: unknown, isEnough: (text: string) => boolean, afterMs?: number): Promise<void> {
    const abort = new AbortController();
    if (afterMs !== undefined) setTimeout(() => abort.abort(), afterMs);
    try {
      const { body } = await fetch(`${instance.url}/graphql`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'text/event-stream',
          authorization: `Bearer ${kim.token}`,
        },
        body: JSON.stringify(operation),
        signal: abort.signal,
      });
      let text = '';
      for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
        text += chunk;
        if (isEnough(text)) break;
      }
    } catch (error) {
      if (!abort.signal.aborted) throw error;
    }
    abort.abort();
  }

  /** The minimum of each figure in that time. */
  async function lowest(forMs: number): Promise<Map<string, number>> {
    const end = performance.now() + forMs;
    const found = new Map<string, number>();
    while (performance.now() < end) {
      const figures = await readMetrics(instance);
      for (const name of told) found.set(name, Math.min(found.get(name) ?? Infinity, figures.get(name) ?? 0));
      await delay(250);
    }
    return found;
  }

  /** Waits until all are closed, even if nothing more happens in the rooms. */
  const gone = () => settled((figures) => open.slice(0, 3).filter((name) => figures.get(name) !== 0), goneMs);

  const settled = (findHeld: (figures: Map<string, number>) => string[], timeoutMs = 40_000) =>
    waitFor(
      async () => {
        expect(findHeld(await readMetrics(instance))).toEqual([]);
        return true;
      },
      { what: 'everything to be given back', timeoutMs, pollMs: 250 },
    );
});

const open = ['fairway_sockets', 'fairway_streams', 'fairway_room_feeds', 'fairway_nats_subjects'];
const held = ['Timeout', 'TCPSocketWrap', 'Immediate'].map((type) => `nodejs_active_resources{type="${type}"}`);
const told = [...open, ...held];

/** Two statements sometimes coincide, and the pool opens one more connection with a timer: one, not one a cycle. */
const spare = (name: string): number => (/Timeout|TCPSocketWrap/.test(name) ? 1 : 0);

const above = (idle: Map<string, number>, figures: Map<string, number>): string[] =>
  told
    .filter((name) => (figures.get(name) ?? 0) > (idle.get(name) ?? 0) + spare(name))
    .map((name) => `${name}: ${figures.get(name)}, not ${idle.get(name)}`);

const pick = (from: readonly string[]) => from[Math.floor(Math.random() * from.length)] as string;
