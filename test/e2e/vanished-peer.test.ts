import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { TestClient, tokenFor } from '../support/client.js';
import { startFarHost } from '../support/far-host.js';
import type { Instance } from '../support/instance.js';
import { roomEvents } from '../support/operations.js';
import { openConnection, PresenceWatch } from '../support/presence-watch.js';
import { describeWithFarHost, describeWithNats } from '../support/requirements.js';
import { startTcpProxy } from '../support/tcp-proxy.js';
import { RawSocket } from '../support/wire.js';
import { useWorld, type World } from '../support/world.js';

vi.setConfig({ testTimeout: 120_000 });

/** Nobody is OFFLINE before that, whatever became of their connection. */
const graceMs = 10_000;
/** Two pings that are not answered. */
const silentSocketMs = 24_000;
/** A heartbeat, and 20 s without an acknowledgement, looked at every 4 s. */
const silentStreamMs = 12_000 + 20_000 + 2 * 4_000;
const maxStreamMs = 20_000;
/** Until everybody has been told, on a machine that others use as well. */
const tellMs = 3_000;

const observerId = 4;

describe('a client that vanished without a word', () => {
  describeWithNats('behind a proxy that goes on taking what is sent', () => {
    // One connection is allowed, so that the test sees whether it ended.
    const world = useWorld({ instances: 1, env: { MAX_SOCKETS_PER_USER: '1', MAX_STREAM_MS: String(maxStreamMs) } });

    it.concurrent.each([
      ['quiet', 101],
      ['busy', 102],
    ] as const)('is found on a WebSocket in a %s room by the pings that it leaves unanswered', async (kind, userId) => {
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
    ] as const)('is found on a stream in a %s room by the age that no stream exceeds', async (kind, userId) => {
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

    it.concurrent('is another matter than one that is there: their stream breaks off at that age without being completed, and is resumed', async () => {
      const [kim, lee] = [await world.client(observerId), await world.client(105)];
      const roomId = await kim.group(105);
      const text = await readStream(world.instances[0] as Instance, lee, roomId);

      expect(text).toContain('RoomReady');
      expect(text).not.toContain('event: complete');
      const again = lee.roomEventsOverSse({ roomId, afterSeq: 0 });
      await again.count(1);
      again.stop();
    });

    it.concurrent('is another matter than one that never speaks but answers pings, and than one that is slow to read', async () => {
      const kim = await world.client(observerId);
      const roomId = await kim.group(106, 107);
      const [silent, slow] = [
        await openConnection(world.instances[0] as Instance, 106),
        await openConnection(world.instances[0] as Instance, 107),
      ];
      slow.subscribe('room', { query: roomEvents.toString(), variables: { roomId } });
      const talkers = talk(kim, roomId, 20, 'x'.repeat(4_000));
      // It reads for a moment every second, so that there is always something that waits for it.
      const reading = setInterval(() => {
        slow.ws.resume();
        setTimeout(() => slow.ws.pause(), 20);
      }, 1_000);
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
    ] as const)('is found on a stream in a %s room by what it does not acknowledge', async (kind, userId) => {
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
      await watch.until('ONLINE', [userId], 10_000);

      host.cut();
      await expectFound(watch, instance, userId, silentStreamMs);
    });
  });
});

/** Somebody watches the user and has a room with them, in which they talk all the time if it is busy. */
async function observe(world: World, userId: number, kind: 'quiet' | 'busy') {
  const instance = world.instances[0] as Instance;
  // Users of its own for each test.
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

/** A stream as it came, until it broke off. */
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

/** Says that it has heard something, and goes on listening. */
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
