import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { TestClient } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import { sendMessage, setTyping } from '../support/operations.js';
import { Random, useRandom } from '../support/random.js';
import { describeWithNats } from '../support/requirements.js';
import { countTo } from '../support/room-log.js';
import { listsOf, signal, stop, type TypingFeed, type, typingNow, untilListed, watch } from '../support/typing.js';
import { waitFor } from '../support/wait-for.js';
import { RawSocket } from '../support/wire.js';
import { useWorld, type World } from '../support/world.js';

/** Longer than a signal's wait for its turn, and than its delivery. */
const settleMs = 2_000;
/** A signal that is not ended lapses after 6 s. */
const beforeLapseMs = 5_000;

describeWithNats('typing, in the order of its signals,', () => {
  const world = useWorld();

  const ends: [string, (there: TestClient, roomId: string) => Promise<unknown>][] = [
    ['a stop', stop],
    ['a message', (there, roomId) => there.send(roomId, 'done')],
  ];

  it.concurrent.each(ends)(
    'lets no signal that waits for its turn outlive %s on another instance',
    async (_what, end) => {
      const { kim, lee, lees, roomId } = await meet(world);
      const feeds = [watch(kim, roomId), watch(await world.client(kim.userId, 1), roomId)];
      await Promise.all(feeds.map((feed) => feed.count(1)));
      await type(lee, roomId);
      await Promise.all(feeds.map((feed) => untilListed(feed, lee)));
      await type(lee, roomId);

      await end(lees, roomId);
      await Promise.all(feeds.map((feed) => untilListed(feed)));

      await delay(settleMs);
      for (const feed of feeds) expect(listsOf(feed)).toEqual([[], [lee.userId], []]);
      expect(await typingNow(kim, roomId)).toEqual([]);
    },
  );

  it.concurrent.each(ends)(
    'shows no waiting signal to a client that starts to watch between %s and the turn of the signal',
    async (_what, end) => {
      const { kim, lee, lees, roomId } = await meet(world);
      const startedAt = performance.now();
      await type(lee, roomId);
      await delay(startedAt + 300 - performance.now());
      await type(lee, roomId);
      await end(lees, roomId);

      const kims = [kim, await world.client(kim.userId, 1)];
      const feeds = kims.map((client) => watch(client, roomId));
      await Promise.all(feeds.map((feed) => feed.count(1)));
      await delay(settleMs);

      for (const feed of feeds) expect(listsOf(feed)).toEqual([[]]);
      for (const client of kims) expect(await typingNow(client, roomId)).toEqual([]);
    },
  );

  it.concurrent('starts again after an end, even if that was on another instance', async () => {
    const { kim, lee, lees, roomId } = await meet(world);
    const feed = watch(await world.client(kim.userId, 1), roomId);
    await feed.count(1);
    for (let round = 0; round < 3; round += 1) {
      await type(lee, roomId);
      await untilListed(feed, lee);
      await (round % 2 === 0 ? lees.send(roomId, 'done') : stop(lees, roomId));
      await untilListed(feed);
    }
    await signal(lee, roomId, true);
    await untilListed(feed, lee);
  });

  it.concurrent('ends with the last signal that one socket sent without waiting for answers', async () => {
    const random = useRandom();
    const { kim, lee } = await meet(world);
    const rounds = countTo(48).map(async (round) => {
      const own = new Random(random.between(0, 2 ** 31));
      const roomId = await kim.group(lee.userId);
      const feeds = [watch(kim, roomId), watch(await world.client(kim.userId, 1), roomId)];
      await Promise.all(feeds.map((feed) => feed.count(1)));
      return { round, own, roomId, feeds };
    });
    const rooms = await Promise.all(rounds);
    const socket = await RawSocket.connect(world.instances[1] as Instance, lee.token);
    for (const { round, own, roomId } of rooms) {
      await delay(own.between(0, 20));
      socket.subscribe(`begin-${round}`, {
        query: setTyping.toString(),
        variables: { input: { roomId, isTyping: true } },
      });
      await delay(own.between(0, 9));
      const end =
        round % 2 === 0
          ? { query: setTyping.toString(), variables: { input: { roomId, isTyping: false } } }
          : { query: sendMessage.toString(), variables: { input: { roomId, content: 'done' } } };
      socket.subscribe(`end-${round}`, end);
    }
    for (const { round } of rooms)
      await socket.until(({ id, type }) => id === `end-${round}` && type === 'complete', 'an answer');

    const answeredAt = performance.now();
    await delay(settleMs);
    const areEmpty = () => rooms.every(({ feeds }) => feeds.every((feed) => listsOf(feed).at(-1)?.length === 0));
    await waitFor(areEmpty, { what: 'the last lists' });
    const lapsed = (feed: TypingFeed) => (feed.times.at(-1) ?? 0) > answeredAt + beforeLapseMs;
    const ghosts = rooms.filter(({ feeds }) => feeds.some(lapsed));
    socket.ws.close();
    expect(ghosts.map(({ round }) => round)).toEqual([]);
  });

  it('shows nobody to a client that starts to watch right after the message, on any instance', async () => {
    const { kim, lee, lees } = await meet(world);
    const kims = [kim, await world.client(kim.userId, 1)];
    const seen: string[] = [];
    for (const round of countTo(24)) {
      const roomId = await kim.group(lee.userId);
      await type(lee, roomId);
      await lees.send(roomId, 'done');
      const client = kims[round % 2] as TestClient;
      if (round % 4 < 2) {
        const now = await typingNow(client, roomId);
        if (now?.length !== 0) seen.push(`query ${round}`);
      } else {
        const feed = watch(client, roomId);
        await feed.count(1);
        if (listsOf(feed)[0]?.length !== 0) seen.push(`subscription ${round}`);
        feed.stop();
      }
    }
    expect(seen).toEqual([]);
  });

  it('shows nobody to a client that joins other watchers right after the message', async () => {
    const { kim, lee, lees } = await meet(world);
    const park = await world.client(kim.userId + 3, 1);
    const seen: number[] = [];
    for (const round of countTo(12)) {
      const roomId = await kim.group(lee.userId, park.userId);
      const first = watch(park, roomId);
      await first.count(1);
      await type(lee, roomId);
      await untilListed(first, lee);
      await lees.send(roomId, 'done');
      const feed = watch(await world.client(kim.userId, 1), roomId);
      await feed.count(1);
      if (listsOf(feed)[0]?.length !== 0) seen.push(round);
      first.stop();
      feed.stop();
    }
    expect(seen).toEqual([]);
  });
});

let lastUserId = 5_000;

/** Kim and Lee on the first instance, Lee on the second as well, and a room of theirs. */
async function meet(world: World) {
  lastUserId += 10;
  const [kim, lee] = [await world.client(lastUserId, 0), await world.client(lastUserId + 1, 0)];
  const lees = await world.client(lee.userId, 1);
  return { kim, lee, lees, roomId: await kim.group(lee.userId) };
}
