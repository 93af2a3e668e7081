import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import type { TestClient } from '../support/client.js';
import { Inspector, inspectorEnv } from '../support/inspector.js';
import type { Instance } from '../support/instance.js';
import { metricsEnv, readMetrics } from '../support/metrics.js';
import { messageAdded, roomEvents } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { RawSocket, type ServerMessage } from '../support/wire.js';
import { useWorld } from '../support/world.js';

const cycles = 2_000;
/** Each way to vanish is taken many times, so that everything that is created once exists. */
const warmUpCycles = 500;
const parallel = 16;
/** More than the events of which an instance keeps what it has executed and printed. */
const logLength = 1_200;
/** Less than the ping interval, because a ping would detect the loss as well. */
const goneMs = 10_000;
/** How long the pool keeps an idle connection to PostgreSQL. */
const poolIdleMs = 10_000;
/** The pages of a replay are kept for a shorter time. */
const restMs = poolIdleMs + 2_000;

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
    await world.database.query(
      `INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content)
       SELECT gen_random_uuid(), $1, n, n, 4, 'kim', 'TEXT', 'message ' || n FROM generate_series(2, $2::int) n`,
      [rooms[0], logLength],
    );
    await world.database.query('UPDATE chat_rooms SET seq = $2, published_seq = $2 WHERE id = $1', [
      rooms[0],
      logLength,
    ]);
  });

  it('leaves nothing behind: no socket, stream, feed, NATS subscription, timer or memory', {
    timeout: 900_000,
  }, async () => {
    const inspector = await Inspector.attach(instance);
    onTestFinished(() => inspector.detach());
    // They would be read with the first error in each file, at any time.
    await inspector.disableSourceMaps();
    const idle = await lowest(readHeld, restMs);
    expect([...idle].slice(0, 3)).toEqual(open.slice(0, 3).map((name) => [name, 0]));
    // Run the same cycles without measurement first, so that everything bounded is full.
    await whileTheyTalk(() => runCycles(warmUpCycles));
    await gone();
    await replaceKeptEvents();
    const before = await lowest(() => inspector.countObjects(), restMs);

    let peak = 0;
    const watch = async () => {
      peak = Math.max(peak, (await readMetrics(instance)).get('fairway_room_feeds') ?? 0);
    };
    await whileTheyTalk(() => during(() => runCycles(cycles), watch, 200));

    await gone();
    await replaceKeptEvents();
    await settled(async () => above(idle, await readHeld(), spare));
    // Half of what remains if only one of the ways leaves one object each time.
    const allowed = cycles / vanish.length / 2;
    await settled(async () => above(before, await inspector.countObjects(), () => allowed));
    expect(peak).toBeGreaterThan(1);
    expect(instance.output()).not.toMatch(/"level":[56]0/);
  });

  const whileTheyTalk = (run: () => Promise<void>) => during(run, () => kim.send(pick(rooms), 'meanwhile'), 20);

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

  /**
   * An instance keeps what it has executed and printed of the newest events. These are different objects for each kind of
   * event and subscriber, so before they are counted, the events of one replay take the place of all others. It reads up to a
   * new message, because it would share the pages of an earlier replay up to the same one.
   */
  async function replaceKeptEvents(): Promise<void> {
    await kim.send(rooms[0] as string, 'the newest');
    const socket = await RawSocket.connect(instance, kim.token);
    socket.subscribe('s', replay());
    await socket.until(
      (message) => isEvent(message) && typeOf(message) === 'RoomReady',
      'the end of the replay',
      60_000,
    );
    socket.ws.close(1000);
    await socket.closeCode();
  }

  const readHeld = async () => {
    const figures = await readMetrics(instance);
    return new Map(told.map((name) => [name, figures.get(name) ?? 0]));
  };

  /** Waits until all are closed, even if nothing more happens in the rooms. */
  const gone = () =>
    settled(async () => {
      const held = await readHeld();
      return open.slice(0, 3).filter((name) => held.get(name) !== 0);
    }, goneMs);

  const settled = (findHeld: () => Promise<string[]>, timeoutMs = 90_000) =>
    waitFor(
      async () => {
        expect(await findHeld()).toEqual([]);
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

type Figures = ReadonlyMap<string, number>;

const above = (base: Figures, figures: Figures, allowed: (name: string) => number): string[] =>
  [...figures]
    .filter(([name, figure]) => figure > (base.get(name) ?? 0) + allowed(name))
    .map(([name, figure]) => `${name}: ${figure}, not ${base.get(name) ?? 0}`);

/** The minimum of each figure, from now until the end of that time. */
async function lowest(read: () => Promise<Figures>, forMs: number): Promise<Figures> {
  const end = performance.now() + forMs;
  const found = new Map<string, number>();
  for (;;) {
    const isLast = performance.now() >= end;
    for (const [name, figure] of await read()) found.set(name, Math.min(figure, found.get(name) ?? Infinity));
    if (isLast) return found;
    await delay(250);
  }
}

/** Repeats `work` until `run` has ended, one at a time: on a slow machine, nothing piles up. */
async function during(run: () => Promise<void>, work: () => Promise<unknown>, pauseMs: number): Promise<void> {
  let hasEnded = false;
  const repeat = async () => {
    while (!hasEnded) {
      await work();
      await delay(pauseMs);
    }
  };
  const end = () => {
    hasEnded = true;
  };
  await Promise.all([run().finally(end), repeat()]);
}

const typeOf = ({ payload }: ServerMessage) =>
  (payload as { data?: { roomEvents?: { __typename: string } } }).data?.roomEvents?.__typename;

const pick = (from: readonly string[]) => from[Math.floor(Math.random() * from.length)] as string;
