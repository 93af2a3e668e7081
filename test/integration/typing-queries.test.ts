import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Backend } from '../support/backend.js';
import { TestClient } from '../support/client.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { startNats, type TestNats } from '../support/nats.js';
import { removeMember, whoAmI } from '../support/operations.js';
import { startOwnApp, statementsOf } from '../support/own-app.js';
import { describeWithNats } from '../support/requirements.js';
import { signalOverWs, untilListed, watch } from '../support/typing.js';
import { waitFor } from '../support/wait-for.js';

const readsPermission = (text: string): boolean => text.includes('AS "isOpen"') && !text.includes('epochAgesMs');

describeWithNats('the permission to type', () => {
  let database: TestDatabase;
  let nats: TestNats;
  let app: Awaited<ReturnType<typeof startOwnApp>>;
  let backend: Backend;
  let kim: TestClient;
  let lee: TestClient;
  let park: TestClient;

  beforeAll(async () => {
    [database, nats] = await Promise.all([createDatabase(), startNats()]);
    app = await startOwnApp({ database, nats }, { USER_DIRECTORY: 'on' });
    backend = await Backend.connect(nats);
    [kim, lee, park] = (await Promise.all([4, 5, 6].map((id) => TestClient.create(app, id)))) as [
      TestClient,
      TestClient,
      TestClient,
    ];
    for (const client of [kim, lee, park]) await client.http(whoAmI, {});
  });
  afterAll(async () => {
    await Promise.all([kim, lee, park].map((client) => client.close()));
    await backend?.close();
    await app.stop();
    await nats.stop();
    await database.drop();
  });

  const readsOf = async (work: () => Promise<unknown>) => (await statementsOf(work)).filter(readsPermission).length;

  /** Kim and lee watch the room. */
  async function meet(roomId: string) {
    const feeds = [watch(kim, roomId), watch(lee, roomId)] as const;
    await Promise.all(feeds.map((feed) => feed.count(1)));
    return { feeds, stop: () => feeds.forEach((feed) => void feed.stop()) };
  }

  /** Returns how often the first signal of the client in a new room reads the permission. */
  async function readsOfFirstSignal(client: TestClient): Promise<number> {
    const roomId = await kim.group(lee.userId, park.userId);
    const { feeds, stop } = await meet(roomId);
    // Somebody else's entry ends no permission.
    await kim.send(roomId, '안녕');
    const reads = await readsOf(() => signalOverWs(client, roomId, true));
    await untilListed(feeds[0], client);
    stop();
    return reads;
  }

  it('takes no statement of a member who watches the room', async () => {
    // It takes one if the comparison of the logs with the database is late.
    await waitFor(async () => (await readsOfFirstSignal(lee)) === 0, { what: 'a signal without a statement' });
  });

  it('takes one of a member who does not', async () => {
    expect(await readsOfFirstSignal(park)).toBe(1);
  });

  it('ends with the removal of a member who watches the room', async () => {
    const roomId = await kim.group(lee.userId);
    const { stop } = await meet(roomId);
    await signalOverWs(lee, roomId, true);

    await kim.http(removeMember, { input: { roomId, userId: String(lee.userId) } });

    expect(await untilRefused(lee, roomId)).toBe('NOT_FOUND');
    stop();
  });

  it('ends with the cancellation of the booking for members who watch the room', async () => {
    const bookingId = randomInt(1, 2 ** 31);
    const memberIds = [kim.userId, lee.userId];
    const { data } = await backend.ask('chat.rooms.create', { type: 'BOOKING', bookingId, memberIds });
    const { stop } = await meet(data.id);
    await signalOverWs(lee, data.id, true);

    await backend.ask('chat.rooms.cancel', { bookingId });

    expect(await untilRefused(lee, data.id)).toBe('FORBIDDEN');
    stop();
  });

  /** A signal that is merged with one from before the end is not refused. */
  async function untilRefused(client: TestClient, roomId: string): Promise<string | undefined> {
    let code: string | undefined;
    await waitFor(
      async () => {
        code = await signalOverWs(client, roomId, false).then(
          () => undefined,
          (error: { code: string }) => error.code,
        );
        return code !== undefined;
      },
      { what: 'a refusal', timeoutMs: 5_000 },
    );
    return code;
  }
});
