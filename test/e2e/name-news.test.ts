import { afterAll, beforeAll, expect, it } from 'vitest';
import { signToken } from '../../src/auth/sign-token.js';
import { Backend } from '../support/backend.js';
import type { TestClient } from '../support/client.js';
import { testSecret } from '../support/instance.js';
import { startDeployedNats } from '../support/nats.js';
import { inboxEvents, renameRoom, whoAmI } from '../support/operations.js';
import { PresenceWatch, quiet } from '../support/presence-watch.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

/** The minimum time between two events with the same user's name. */
const gapMs = 5_000;

describeWithNats('a new name', () => {
  const world = useWorld({ nats: startDeployedNats });
  let backend: Backend;
  beforeAll(async () => {
    backend = await Backend.connect(world.nats);
  });
  afterAll(() => backend?.close());

  const rename = (userId: number, name: string) => backend.ask('chat.users.upsert', { userId, name });
  const namesOf = (watch: PresenceWatch, userId: number) =>
    watch.feed.events.flatMap(({ presence: { user } }) => (user.id === String(userId) ? [user.name] : []));
  const inboxOf = (client: TestClient) => {
    const feed = client.subscribe(inboxEvents, {});
    const titles = (roomId: string) =>
      feed.events.flatMap(({ inboxEvents: { room } }) => (room?.id === roomId ? [room.title] : []));
    return { feed, titles };
  };

  it('arrives with the presence of the user, only for users who may see them, on every instance', async () => {
    const [kim, lee, stranger] = [await world.client(100, 0), await world.client(101, 1), await world.client(102, 0)];
    await kim.group(lee.userId);
    const watches = [kim, await world.client(100, 1)].map((client) => new PresenceWatch(client, [lee.userId]));
    const theirs = new PresenceWatch(stranger, [lee.userId, stranger.userId]);
    for (const watch of watches) await watch.until('OFFLINE', [lee.userId]);
    await theirs.until('ONLINE', [stranger.userId]);

    await rename(lee.userId, '이순신');

    for (const watch of watches) {
      await waitFor(() => namesOf(watch, lee.userId).at(-1) === '이순신', { what: 'the new name' });
      expect(watch.statuses(lee.userId)).toEqual(['OFFLINE', 'OFFLINE']);
    }
    expect(theirs.of(lee.userId)).toEqual([]);
  });

  it('changes the titles that contain it in every list, by an upsert and by a newer token, and no others', async () => {
    const [kim, lee] = [await world.client(110, 0), await world.client(111, 1)];
    const direct = await kim.direct(lee.userId);
    const unnamed = await kim.group(lee.userId);
    const named = await kim.group(lee.userId);
    await kim.http(renameRoom, { input: { roomId: named, name: '토요일 모임' } });
    const inboxes = [inboxOf(kim), inboxOf(await world.client(110, 1))];
    for (const { feed } of inboxes) await feed.count(1);

    await rename(lee.userId, '이순신');
    for (const { titles } of inboxes) {
      for (const roomId of [direct, unnamed]) {
        await waitFor(() => titles(roomId).at(-1) === '이순신', { what: 'the new title' });
      }
      expect(titles(named)).toEqual([]);
    }

    // An upsert outranks the tokens of its time: this token comes after it.
    await world.database.query(`UPDATE chat_users SET named_at = now() - interval '1 hour' WHERE id = $1`, [
      lee.userId,
    ]);
    const token = await signToken(testSecret, { userId: lee.userId, name: '이방원' });
    await (await world.client(lee.userId, 0, token)).http(whoAmI, {});
    for (const { titles } of inboxes) {
      await waitFor(() => titles(direct).at(-1) === '이방원', { what: 'the next title' });
    }
  });

  it('is sent at most every 5 s per user, however often it changes, and the last one arrives in the end', async () => {
    const [kim, lee] = [await world.client(120, 0), await world.client(121, 1)];
    const direct = await kim.direct(lee.userId);
    const watch = new PresenceWatch(kim, [lee.userId]);
    await watch.until('OFFLINE', [lee.userId]);
    const { feed, titles } = inboxOf(kim);
    await feed.count(1);

    const startedAt = performance.now();
    for (let round = 1; round <= 30; round += 1) {
      await rename(lee.userId, `이름 ${round}`);
      await quiet(50);
    }
    await waitFor(() => titles(direct).at(-1) === '이름 30' && namesOf(watch, lee.userId).at(-1) === '이름 30', {
      what: 'the last name',
      timeoutMs: gapMs + 10_000,
    });
    const allowed = 1 + Math.ceil((performance.now() - startedAt) / gapMs);
    expect(titles(direct).length).toBeLessThanOrEqual(allowed);
    expect(namesOf(watch, lee.userId).length).toBeLessThanOrEqual(1 + allowed);
  });
});
