import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import type { TestClient } from '../support/client.js';
import { Inspector, inspectorEnv } from '../support/inspector.js';
import type { Instance } from '../support/instance.js';
import { metricsEnv, readMetrics } from '../support/metrics.js';
import { apolloAccept } from '../support/multipart.js';
import { messageAdded, roomEvents } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { RawSocket, type ServerMessage } from '../support/wire.js';
import { useWorld, type World } from '../support/world.js';

const events = 20_000;
/** The memory is measured after each part. */
const parts = 10;
const maxGrownBytes = 5_000_000;
const inFlight = 48;
/** 20,000 of them exceed the operating system's buffers. */
const line = 'x'.repeat(1_000);
/** 2,000 of them exceed the operating system's buffers. */
const essay = '가'.repeat(4_000);

describeWithNats('a subscriber that stops reading', () => {
  const world = useWorld({ instances: 1, env: metricsEnv });
  /** Sends through an instance that has no subscribers. */
  let kim: TestClient;

  beforeAll(async () => {
    kim = await world.client(4);
  });

  it('costs less than 5 MB, and does not delay others, while 20,000 events pass', async () => {
    const room = await kim.group(5);
    const burdened = await Witness.start(world, room);
    const spared = await Witness.start(world, room);
    const both = [burdened, spared];

    await talk(room, line, events / 5, both);
    const before = await retainedBytes(both);
    const calm = both.map((witness) => witness.takeLatency());

    const slow = await stopReading(burdened.instance, room);
    const peaks: number[][] = [];
    for (let part = 0; part < parts; part += 1) {
      await talk(room, line, events / parts, both);
      peaks.push(await retainedBytes(both));
    }
    const busy = both.map((witness) => witness.takeLatency());
    const grown = before.map((bytes, index) => Math.max(...peaks.map((peak) => peak[index] ?? 0)) - bytes);

    expect(difference(grown)).toBeLessThan(maxGrownBytes);
    expect(busy[0]).toBeLessThan((busy[1] ?? 0) * 1.5 + 50);
    expect(busy[0]).toBeLessThan((calm[0] ?? 0) * 3 + 50);
    await waitFor(async () => (await count(burdened.instance, 'fairway_sockets')) === 1, {
      what: 'the end of the slow socket',
    });
    expect(slow.messages.length).toBeLessThan(events);
    expect(burdened.instance.process.exitCode).toBeNull();
    expect(burdened.instance.output()).not.toMatch(/"level":[56]0/);
  });

  it('gets 4490 when it reads again, and resumes after its last event', async () => {
    const instance = await world.start({ MAX_LAG: '500' });
    const room = await kim.group(5);
    const slow = await stopReading(instance, room);
    await talk(room, essay, 2_000);

    slow.ws.resume();
    expect(await slow.closeCode(30_000)).toBe(4490);
    const last = lastSeq(slow.messages);
    expect(last).toBeGreaterThan(1);
    expect(last).toBeLessThan(2_001);
    const rest = (await world.client(5, world.instances.indexOf(instance))).roomEvents({
      roomId: room,
      afterSeq: last,
    });
    await rest.until((got) => got.at(-1)?.__typename === 'RoomReady', 'the rest');
    const resumed = rest.events.filter(({ __typename }) => __typename === 'MessageAdded').map(({ seq }) => seq);
    expect(resumed).toEqual(Array.from({ length: 2_001 - last }, (_, index) => last + 1 + index));
  });

  it('is cut if it never reads again, over WebSocket and over HTTP', async () => {
    const instance = await world.start({ SEND_TIMEOUT_MS: '1000' });
    const room = await kim.group(5);
    await stopReading(instance, room);
    const streams = [
      await stopReadingStream(instance, room, 'text/event-stream'),
      await stopReadingStream(instance, room, apolloAccept),
    ];
    expect(await count(instance, 'fairway_streams')).toBe(2);

    await talk(room, essay, 2_000);

    for (const what of ['fairway_sockets', 'fairway_streams', 'fairway_room_feeds']) {
      await waitFor(async () => (await count(instance, what)) === 0, { what: `no ${what}` });
    }
    for (const stream of streams) {
      const closed = new Promise((resolve) => stream.once('close', resolve));
      stream.on('error', () => undefined).resume();
      await closed;
      expect(stream.complete).toBe(false);
    }
    expect(instance.output()).not.toMatch(/"level":[56]0/);
  });

  /** Sends as fast as the witnesses receive, `inFlight` messages at a time; resolves once they have all of them. */
  async function talk(room: string, content: string, count: number, witnesses: readonly Witness[] = []): Promise<void> {
    let left = count;
    const worker = async () => {
      while (left > 0) {
        left -= 1;
        const id = randomUUID();
        const received = witnesses.map((witness) => witness.receives(id));
        await kim.sendOverWs(room, content, id);
        await Promise.all(received);
      }
    };
    await Promise.all(Array.from({ length: inFlight }, worker));
  }

  async function stopReading(instance: Instance, room: string): Promise<RawSocket> {
    const slow = await RawSocket.connect(instance, kim.token);
    onTestFinished(() => slow.ws.terminate());
    slow.subscribe('slow', { query: roomEvents.toString(), variables: { roomId: room } });
    await slow.until(({ type }) => type === 'next', 'the subscription');
    slow.ws.pause();
    return slow;
  }

  async function stopReadingStream(instance: Instance, room: string, accept: string): Promise<IncomingMessage> {
    const sent = request(`${instance.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept,
        authorization: `Bearer ${kim.token}`,
      },
    });
    sent.end(JSON.stringify({ query: roomEvents.toString(), variables: { roomId: room } }));
    // Without a listener for data, only the first buffers are filled.
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    onTestFinished(() => void response.destroy());
    return response;
  }

  const count = async (instance: Instance, what: string) => (await readMetrics(instance)).get(what);
});

/** The position of the newest event. */
function lastSeq(messages: readonly ServerMessage[]): number {
  const { payload } = messages.findLast(({ type }) => type === 'next') ?? {};
  return (payload as { data: { roomEvents: { seq: number } } }).data.roomEvents.seq;
}

/** An instance with one subscriber that keeps reading, and an inspector of its memory. */
class Witness {
  readonly #waiting = new Map<string, () => void>();
  #latencies: number[] = [];

  private constructor(
    readonly instance: Instance,
    readonly inspector: Inspector,
  ) {}

  static async start({ start, client, instances }: World, room: string): Promise<Witness> {
    const instance = await start(inspectorEnv);
    const witness = new Witness(instance, await Inspector.attach(instance));
    onTestFinished(() => witness.inspector.detach());
    const lee = await client(5, instances.indexOf(instance));
    const feed = lee.subscribe(messageAdded, { roomId: room, afterSeq: 0 });
    await feed.count(1);
    feed.accept = ({ messageAdded: { id } }) => witness.#waiting.get(id)?.();
    return witness;
  }

  /** Must be called before the message is sent. */
  receives(id: string): Promise<void> {
    const startedAt = performance.now();
    return new Promise((resolve) => {
      this.#waiting.set(id, () => {
        this.#waiting.delete(id);
        this.#latencies.push(performance.now() - startedAt);
        resolve();
      });
    });
  }

  /** The 95th percentile, in milliseconds, of the time from sending to receiving since the last call. */
  takeLatency(): number {
    const sorted = this.#latencies.sort((a, b) => a - b);
    this.#latencies = [];
    return Math.round(sorted[Math.floor(sorted.length * 0.95)] ?? 0);
  }
}

const retainedBytes = (witnesses: readonly Witness[]) =>
  Promise.all(witnesses.map(({ inspector }) => inspector.retainedBytes()));

const difference = ([a = 0, b = 0]: readonly number[]) => a - b;
