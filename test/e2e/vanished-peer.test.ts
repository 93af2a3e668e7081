import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { TestClient, tokenFor } from '../support/client.js';
import { startFarHost } from '../support/far-host.js';
import type { Instance } from '../support/instance.js';
import { roomEvents } from '../support/operations.js';
import { openConnection, PresenceWatch } from '../support/presence-watch.js';
import { describeWithFarHost, describeWithNats } from '../support/requirements.js';
import { startTcpProxy } from '../support/tcp-proxy.js';
import { RawSocket } from '../support/wire.js';
import { useWorld, type World } from '../support/world.js';

/** No user is OFFLINE before this, whatever happened to the connection. */
const graceMs = 10_000;
/** Two unanswered pings. */
const silentSocketMs = 24_000;
/** A heartbeat, and 20 s without an acknowledgement, checked every 4 s. */
const silentStreamMs = 12_000 + 20_000 + 2 * 4_000;
const maxStreamMs = 20_000;
/** The time until every observer has an event, on a shared machine. */
const tellMs = 30_000;

const observerId = 4;

describe('a client that vanished without closing its connection', () => {
  describeWithNats('behind a proxy that keeps accepting data', () => {
    // One connection is allowed, so that the test sees whether it ended.
    const world = useWorld({ instances: 1, env: { MAX_SOCKETS_PER_USER: '1', MAX_STREAM_MS: String(maxStreamMs) } });

    it.concurrent.each([
      ['quiet', 101],
      ['busy', 102],
    ] as const)('is found on a WebSocket in a %s room by its unanswered pings', async (kind, userId) => {
      const { watch, instance, roomId, talkers } = await observe(world, userId, kind);
      const way = await startTcpProxy(instance.url);
      const socket = await RawSocket.connect({ url: way.url.replace(/\/$/, '') }, await tokenFor(userId));
      onTestFinished(() => Promise.all([socket.ws.terminate(), way.stop(), talkers.stop()]).then(() => undefined));
      socket.subscribe('room', { query: roomEvents.toString(), variables: { roomId } });
      await socket.until(({ id, type }) => id === 'room' && type === 'next', 'the room to be ready');
      await watch.until('ONLINE', [userId]);

      await way.cut({ silently: true });
      await expectFound(watch, instance, userId, silentSocketMs);
    });

    it.concurrent.each([
      ['quiet', 103],
      ['busy', 104],
    ] as const)('is found on a stream in a %s room by the maximum age of a stream', async (kind, userId) => {
      const { watch, instance, roomId, talkers } = await observe(world, userId, kind);
      const way = await startTcpProxy(instance.url);
      const client = await TestClient.create({ url: way.url.replace(/\/$/, '') }, userId);
      const stream = client.roomEventsOverSse({ roomId });
      onTestFinished(() => Promise.all([stream.stop(), way.stop(), talkers.stop()]).then(() => undefined));
      await stream.count(1);
      await watch.until('ONLINE', [userId]);

      await way.cut({ silently: true });
      await expectFound(watch, instance, userId, maxStreamMs);
    });

    it.concurrent('differs from a live one: its stream is cut at that age without being completed, and is resumed', async () => {
      const [kim, lee] = [await world.client(observerId), await world.client(105)];
      const roomId = await kim.group(105);
      const text = await readStream(world.instances[0] as Instance, lee, roomId);

      expect(text).toContain('RoomReady');
      expect(text).not.toContain('event: complete');
      const again = lee.roomEventsOverSse({ roomId, afterSeq: 0 });
      await again.count(1);
      again.stop();
    });

    it.concurrent('differs from one that only answers pings, and from one that reads slowly', async () => {
      const kim = await world.client(observerId);
      const roomId = await kim.group(106, 107);
      const [silent, slow] = [
        await openConnection(world.instances[0] as Instance, 106),
        await openConnection(world.instances[0] as Instance, 107),
      ];
      slow.subscribe('room', { query: roomEvents.toString(), variables: { roomId } });
      const talkers = talk(kim, roomId, 20, 'x'.repeat(4_000));
      // It reads for a moment every second, so that some data always waits for it.
      const reading = setInterval(() => {
        slow.ws.resume();
        setTimeout(() => slow.ws.pause(), 20);
      });
      await delay(silentSocketMs + 12_000);
      clearInterval(reading);
      await talkers.stop();

      expect([silent.closed, slow.closed]).toEqual([undefined, undefined]);
      for (const { ws } of [silent, slow]) ws.terminate();
    });
  });

  describeWithFarHost('on another host', () => {
    const world = useWorld({
      instances: 1,
      env: { MAX_SOCKETS_PER_USER: '1', MAX_STREAM_MS: '3600000', HOST: '0.0.0.0' },
    });

    it.concurrent.each([
      ['quiet', 201],
      ['busy', 202],
    ] as const)('is found on a stream in a %s room by its missing acknowledgements', async (kind, userId) => {
      const { watch, instance, roomId, talkers } = await observe(world, userId, kind);
      const host = startFarHost();
      const stream = host.run(
        process.execPath,
        '--input-type=module',
        '-e',
        follower,
        `http://${host.nearAddress}:${instance.port}`,
        await tokenFor(userId),
        roomEvents.toString(),
        roomId,
      );
      onTestFinished(async () => {
        stream.kill('SIGKILL');
        await talkers.stop();
        host.remove();
      });
      await once(stream.stdout as NodeJS.ReadableStream, 'data');
      await watch.until('ONLINE', [userId]);

      host.cut();
      await expectFound(watch, instance, userId, silentStreamMs);
    });
  });
});

/** Starts an observer who watches the user and shares a room with them; in a busy room the observer keeps talking. */
async function observe(world: World, userId: number, kind: 'quiet' | 'busy') {
  const instance = world.instances[0] as Instance;
  // Each test has its own users.
  const observer = await world.client(userId + 1_000);
  const roomId = await observer.group(userId);
  const watch = new PresenceWatch(observer, [userId]);
  await watch.until('OFFLINE', [userId]);
  const talkers = kind === 'busy' ? talk(observer, roomId, 200, 'still there?') : { stop: async () => undefined };
  return { instance, roomId, watch, talkers };
}

function talk(client: TestClient, roomId: string, everyMs: number, content: string) {
  let isOver = false;
  const talking = (async () => {
    while (!isOver) {
      await client.send(roomId, content);
      await delay(everyMs);
    }
  })();
  return {
    stop: async () => {
      isOver = true;
      await talking;
    },
  };
}

async function expectFound(watch: PresenceWatch, instance: Instance, userId: number, withinMs: number): Promise<void> {
  const vanishedAt = performance.now();
  const [told] = await watch.until('OFFLINE', [userId], withinMs + graceMs + tellMs);
  expect((told?.at ?? 0) - vanishedAt).toBeGreaterThan(graceMs - 100);

  const again = await openConnection(instance, userId);
  await watch.until('ONLINE', [userId]);
  again.ws.terminate();
}

/** The text of a stream until it was cut. */
async function readStream({ url }: Instance, { token }: TestClient, roomId: string): Promise<string> {
  const { body } = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: roomEvents.toString(), variables: { roomId } }),
  });
  let text = '';
  const read = async () => {
    for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) text += chunk;
  };
  await expect(read()).rejects.toThrow();
  return text;
}

/** A program that prints `ready` once its stream is ready, and keeps reading. */
const follower = `
  const [url, token, query, roomId] = process.argv.slice(1);
  const { body } = await fetch(url + '/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: 'Bearer ' + token },
    body: JSON.stringify({ query, variables: { roomId } }),
  });
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of body) {
    const isReady = text.includes('RoomReady');
    text += decoder.decode(chunk);
    if (!isReady && text.includes('RoomReady')) console.log('ready');
  }
`;
