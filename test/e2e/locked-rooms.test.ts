import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Backend } from '../support/backend.js';
import { ApiError, type TestClient } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import { deleteMessage, editMessage, inviteMembers } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { readStoredLog } from '../support/room-log.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const lockedForMs = 12_000;

describeWithNats('rooms that somebody else has locked', () => {
  const world = useWorld({ instances: 1 });
  let holder: pg.Client;
  let kim: TestClient;
  let rooms: string[];
  beforeAll(async () => {
    kim = await world.client(4);
    rooms = await Promise.all([1, 2, 3, 4, 5, 6].map(() => kim.group(5)));
    holder = new pg.Client({ connectionString: world.database.url });
    await holder.connect();
  });
  afterAll(() => holder?.end());

  const lock = async (roomIds: readonly string[]) => {
    await holder.query('BEGIN');
    await holder.query('SELECT FROM chat_rooms WHERE id = ANY($1::uuid[]) FOR UPDATE', [roomIds]);
  };

  /** The codes of the changes, as they are answered, and all of them. */
  function collect(changes: readonly Promise<unknown>[]): { codes: string[]; outcomes: Promise<string[]> } {
    const codes: string[] = [];
    const note = (code: string) => void codes.push(code);
    const noted = changes.map((change) => change.then(() => note('OK')).catch(({ code }: ApiError) => note(code)));
    return { codes, outcomes: Promise.all(noted).then(() => codes) };
  }

  /** The number of changes that wait for a lock. */
  const countWaiting = async () =>
    (
      await world.database.query(
        `SELECT FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%chat\\_%'`,
      )
    ).length;

  /** The largest number of changes that wait at the same time, until the condition is met. */
  async function findMostWaiting(isOver: () => boolean): Promise<number> {
    let most = 0;
    while (!isOver()) most = Math.max(most, await countWaiting());
    return most;
  }

  it('are UNAVAILABLE, and do not block writes to other rooms', async () => {
    const [locked, free] = [rooms.slice(0, 4), rooms.slice(4)];
    await lock(locked);
    const until = performance.now() + lockedForMs;
    const refusals: unknown[] = [];
    const stuck = locked.map(async (roomId) => {
      while (performance.now() < until) await kim.send(roomId, 'x').catch((error: unknown) => refusals.push(error));
    });
    let answered = 0;
    const others = free.map(async (roomId) => {
      while (performance.now() < until) {
        await kim.send(roomId, 'y');
        answered += 1;
      }
    });
    await Promise.all([...stuck, ...others]);
    await holder.query('ROLLBACK');

    expect(refusals.length).toBeGreaterThanOrEqual(locked.length);
    expect(new Set(refusals.map((error) => error instanceof ApiError && error.code))).toEqual(new Set(['UNAVAILABLE']));
    // If they waited as well, each of these rooms would have an answer in the time of a refusal.
    expect(answered).toBeGreaterThan(2 * refusals.length);
    for (const roomId of rooms) await kim.send(roomId, 'again');
  });

  it('have one waiting change at a time, however many of their messages are edited and deleted', async () => {
    const [locked, free] = rooms as [string, string];
    const sent = await Promise.all(Array.from({ length: 48 }, (_, n) => kim.send(locked, `text ${n}`)));
    await lock([locked]);
    const startedAt = performance.now();
    const { codes, outcomes } = collect(
      sent.map(({ message }, n) =>
        n % 2 === 0
          ? kim.http(editMessage, { input: { messageId: message.id, content: 'new' } })
          : kim.http(deleteMessage, { input: { messageId: message.id } }),
      ),
    );
    const mostWaiting = findMostWaiting(() => codes.length > 0);
    await kim.send(free, 'meanwhile');
    await kim.http(inviteMembers, { input: { roomId: free, userIds: ['9'] } });

    expect(await mostWaiting).toBe(1);
    expect(new Set(await outcomes)).toEqual(new Set(['UNAVAILABLE']));
    // All of them share one wait of 3 s. One after the other, they would wait for two minutes.
    expect(performance.now() - startedAt).toBeLessThan(60_000);
    await holder.query('ROLLBACK');
    await kim.http(editMessage, { input: { messageId: sent[0]?.message.id ?? '', content: 'new' } });
  });

  it('have few enough concurrent changes to leave connections for other rooms and the outbox sweep', async () => {
    const [locked, free] = rooms as [string, string];
    await lock([locked]);
    const { codes, outcomes } = collect(
      Array.from({ length: 28 }, (_, n) =>
        kim.http(inviteMembers, { input: { roomId: locked, userIds: [String(100 + n)] } }),
      ),
    );
    const mostWaiting = findMostWaiting(() => codes.length > 0);
    const { message } = await kim.send(free, 'meanwhile');
    await kim.http(inviteMembers, { input: { roomId: free, userIds: ['7'] } });
    expect(await mostWaiting).toBe(1);
    const isPublished = async () => (await readStoredLog(world.database, free)).publishedSeq > message.seq;
    await waitFor(isPublished, { what: 'the other room to be published' });

    expect(new Set(await outcomes)).toEqual(new Set(['UNAVAILABLE']));
    await holder.query('ROLLBACK');
    await kim.http(inviteMembers, { input: { roomId: locked, userIds: ['8'] } });
  });

  it('do not hold up new rooms, of which a user creates a few at a time if the database is slow', async () => {
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE chat_room_members IN SHARE MODE');
    const creations = Array.from({ length: 12 }, () =>
      kim.group(5).then(
        () => 'OK',
        (error: ApiError) => error.code,
      ),
    );
    await waitFor(async () => (await countWaiting()) > 0, { what: 'the first rooms' });
    const until = performance.now() + 1_500;
    const mostWaiting = await findMostWaiting(() => performance.now() > until);
    await holder.query('ROLLBACK');
    await Promise.all(creations);

    expect(mostWaiting).toBeLessThanOrEqual(4);
    await kim.group(5);
  });

  it('are UNAVAILABLE to a backend if their members cannot be read, and the instance keeps running', async () => {
    const [instance] = world.instances as [Instance];
    const [roomId] = rooms as [string];
    const backend = await Backend.connect(world.nats, { user: world.nats.user, pass: world.nats.password });
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE chat_room_members IN ACCESS EXCLUSIVE MODE');

    const answer = await backend.ask('chat.rooms.addMember', { roomId, userId: 4, memberIds: [10] });

    expect(answer).toMatchObject({ success: false, code: 'UNAVAILABLE' });
    await holder.query('ROLLBACK');
    await backend.close();
    await kim.send(roomId, 'still there');
    expect(instance.output()).not.toContain('Unhandled error');
  });
});
