import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import type { Feed, RoomEvent, TestClient } from '../support/client.js';
import type { TestDatabase } from '../support/database.js';
import { InboxFollower } from '../support/inbox.js';
import { inviteMembers, messageAdded, roomPosition } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { type RestorablePostgres, startRestorablePostgres } from '../support/restorable-postgres.js';
import { readStoredLog } from '../support/room-log.js';
import { readChatMessages } from '../support/stream.js';
import { forgeToken } from '../support/tokens.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld, type World } from '../support/world.js';

describeWithNats('a database that is restored to an earlier state', () => {
  let postgres: RestorablePostgres;
  const world = useWorld({
    instances: 1,
    database: async () => {
      postgres = await startRestorablePostgres();
      return postgres.database;
    },
  });

  it('resyncs only the clients that hold lost entries, whether they are connected or away', async () => {
    const kim = await world.client(4);
    const [busy, quiet] = [await kim.group(5), await kim.group(5)];
    for (let n = 0; n < 4; n += 1) await kim.send(busy, `common ${n}`);
    const common = await positionOf(kim, busy);
    await isPublished(world, busy);
    await postgres.backUp();
    await waitFor(() => kim.send(busy, 'lost 0').catch(() => undefined), { what: 'the database to be back' });
    for (let n = 1; n < 6; n += 1) await kim.send(busy, `lost ${n}`);
    const lost = await positionOf(kim, busy);
    expect(lost).toMatchObject({ seq: 11, epoch: common.epoch });
    await isPublished(world, busy);
    const stays = kim.roomEvents({ roomId: busy });
    const hasNothingLost = kim.roomEvents({ roomId: quiet });
    await Promise.all([stays.count(1), hasNothingLost.count(1)]);

    await postgres.restore({ newTimeline: true });
    await waitFor(() => kim.send(busy, 'new 0').catch(() => undefined), { what: 'the database to be back' });
    for (let n = 1; n < 12; n += 1) await kim.send(busy, `new ${n}`);
    const now = await positionOf(kim, busy);
    expect(now).toMatchObject({ seq: 17 });
    expect(now.epoch > common.epoch).toBe(true);

    // Connected: a feed that holds lost entries, and a feed of a room that lost nothing.
    await isResynced(stays);
    await stays.until((events) => events.at(-1)?.seq === 17, 'what came since');
    expect(stays.events.filter(({ __typename }) => __typename === 'RoomResync')).toMatchObject([{ epoch: now.epoch }]);
    await hasNothingLost.count(2);
    await kim.send(quiet, 'still here');
    await hasNothingLost.count(3);
    expect(hasNothingLost.events.map(({ __typename, seq, epoch }) => [__typename, seq, epoch])).toEqual([
      ['RoomReady', 1, common.epoch],
      ['RoomReady', 1, now.epoch],
      ['MessageAdded', 2, now.epoch],
    ]);

    // Clients that were away.
    const resume = (position: { afterSeq: number; epoch?: string }) => replay(kim, { roomId: busy, ...position });
    const all = await resume({ afterSeq: 5, epoch: common.epoch });
    expect(all.map(tell)).toEqual([
      ...Array.from({ length: 12 }, (_, n) => ['MessageAdded', 6 + n]),
      ['RoomReady', 17],
    ]);
    expect(await resume({ afterSeq: 3, epoch: common.epoch })).toHaveLength(15);
    const anew = [
      ['RoomResync', 17],
      ['RoomReady', 17],
    ];
    expect((await resume({ afterSeq: 11, epoch: lost.epoch })).map(tell)).toEqual(anew);
    expect((await resume({ afterSeq: 6, epoch: lost.epoch })).map(tell)).toEqual(anew);
    expect((await resume({ afterSeq: 6, epoch: randomUUID() })).map(tell)).toEqual(anew);
    expect((await resume({ afterSeq: 16, epoch: now.epoch })).map(tell)).toEqual([
      ['MessageAdded', 17],
      ['RoomReady', 17],
    ]);
    // A client that sends no epoch cannot be distinguished from one that was away.
    expect((await resume({ afterSeq: 11 })).map(tell)).toEqual(anew);
    expect(await resume({ afterSeq: 5 })).toHaveLength(13);
    const malformed = kim.roomEvents({ roomId: busy, afterSeq: 5, epoch: 'x' });
    expect(await malformed.ended()).toMatchObject({ code: 'BAD_USER_INPUT' });
    // A subscription without a resync event replays everything after the last common entry.
    const messages = kim.subscribe(messageAdded, { roomId: busy, afterSeq: 11, epoch: lost.epoch });
    expect((await messages.count(12)).map(({ messageAdded: { seq } }) => seq)).toEqual(
      Array.from({ length: 12 }, (_, n) => 6 + n),
    );
    // A room that was created since then has no earlier entries.
    const fresh = await kim.group(5);
    await kim.send(fresh, '1');
    expect((await replay(kim, { roomId: fresh, afterSeq: 1 })).map(tell)).toEqual([
      ['MessageAdded', 2],
      ['RoomReady', 2],
    ]);

    await isPublished(world, busy);
    expect(await streamOf(world, busy, now.epoch)).toEqual(
      expect.arrayContaining(Array.from({ length: 12 }, (_, n) => 6 + n)),
    );

    // A second restore changes nothing for these clients as long as the first one is recent.
    await postgres.backUp();
    await postgres.restore({ newTimeline: true });
    await waitFor(() => isLater(kim, busy, now.epoch), { what: 'the next epoch' });
    expect((await resume({ afterSeq: 11 })).map(tell)).toEqual(anew);
    expect(await resume({ afterSeq: 5 })).toHaveLength(13);
    expect(await resume({ afterSeq: 16, epoch: now.epoch })).toHaveLength(2);
    await postgres.database.query(`UPDATE chat_epochs SET began_at = began_at - interval '31 days' WHERE id = $1`, [
      now.epoch,
    ]);
    expect((await resume({ afterSeq: 11 })).map(tell)).toHaveLength(7);
  });

  it('is detected from the stream if the server itself gives no sign, and then all clients resync', async () => {
    const kim = await world.client(4);
    const roomId = await kim.group(5);
    await kim.send(roomId, 'common');
    const common = await positionOf(kim, roomId);
    await postgres.backUp();
    await waitFor(() => kim.send(roomId, 'lost 1').catch(() => undefined), { what: 'the database to be back' });
    await kim.send(roomId, 'lost 2');
    await isPublished(world, roomId);

    await postgres.restore({ newTimeline: false });

    await waitFor(() => isLater(kim, roomId, common.epoch), { what: 'the new epoch' });
    const now = await positionOf(kim, roomId);
    expect(now).toMatchObject({ seq: 2 });
    expect((await replay(kim, { roomId, afterSeq: 2, epoch: common.epoch })).map(tell)).toEqual([
      ['RoomResync', 2],
      ['RoomReady', 2],
    ]);
    await kim.send(roomId, 'new');
    await isPublished(world, roomId);
    expect(await streamOf(world, roomId, now.epoch)).toContain(3);
  });

  it('is detected as well if it is in an earlier epoch than the instance knows', async () => {
    const kim = await world.client(4);
    const roomId = await kim.group(5);
    const before = await positionOf(kim, roomId);
    await postgres.backUp();
    await restored(world);
    const known = await waitFor(() => isLater(kim, roomId, before.epoch), { what: 'the epoch of the command' });

    await postgres.restore({ newTimeline: false });

    await waitFor(() => isLater(kim, roomId, known), { what: 'the next epoch' });
    expect((await replay(kim, { roomId, afterSeq: 1, epoch: known })).map(tell)).toEqual([
      ['RoomResync', 1],
      ['RoomReady', 1],
    ]);
  });

  it('gets a later epoch than the known one, whatever the clocks of its servers show', async () => {
    const kim = await world.client(4);
    const roomId = await kim.group(5);
    await kim.send(roomId, 'common');
    await isPublished(world, roomId);
    await postgres.backUp();
    // On a server whose clock is an hour ahead.
    await postgres.restore({ newTimeline: true });
    await waitFor(() => kim.send(roomId, 'lost').catch(() => undefined), { what: 'the database to be back' });
    const known = await beginAhead(postgres.database, (await positionOf(kim, roomId)).epoch);
    await waitFor(async () => (await positionOf(kim, roomId)).epoch === known, { what: 'that epoch' });
    await kim.send(roomId, 'lost');
    await isPublished(world, roomId);
    const before = await countEpochs(postgres.database);

    // On a server whose clock is right.
    await postgres.restore({ newTimeline: true });

    await waitFor(() => kim.send(roomId, 'new').catch(() => undefined), { what: 'the database to be back' });
    const now = await positionOf(kim, roomId);
    expect(now.epoch > known).toBe(true);
    expect(await countEpochs(postgres.database)).toBe(before);
  });

  it('ends the feeds of lost rooms and memberships, and removes the rooms from the list', async () => {
    const [kim, lee] = [await world.client(4), await world.client(5)];
    const kept = await kim.group(6);
    await postgres.backUp();
    const lost = await waitFor(() => kim.group(5).catch(() => undefined), { what: 'the database to be back' });
    await kim.http(inviteMembers, { input: { roomId: kept, userIds: ['5'] } });
    await kim.send(kept, 'to lee');
    const feeds = [lost, kept].map((roomId) => lee.roomEvents({ roomId }));
    await Promise.all(feeds.map((feed) => feed.count(1)));
    const inbox = await InboxFollower.start(lee);
    expect([...inbox.list.keys()]).toEqual(expect.arrayContaining([lost, kept]));

    await postgres.restore({ newTimeline: true });

    for (const feed of feeds) expect(await feed.ended()).toMatchObject({ code: 'FORBIDDEN' });
    await inbox.isRight();
    expect(inbox.list.has(lost) || inbox.list.has(kept)).toBe(false);
  });

  it('stores users again whose rows are lost', async () => {
    const kim = await world.client(4);
    const before = await positionOf(kim, await kim.group(5));
    await postgres.backUp();
    const token = await forgeToken({ sub: '77', name: '이준호' });
    const lee = await world.client(77, 0, token);
    await waitFor(() => lee.group(4).catch(() => undefined), { what: 'the database to be back' });

    await postgres.restore({ newTimeline: true });

    const made = await waitFor(() => kim.group(5).catch(() => undefined), { what: 'the database to be back' });
    expect((await positionOf(kim, made)).epoch > before.epoch).toBe(true);
    await lee.group(4);
    expect(await postgres.database.query('SELECT name FROM chat_users WHERE id = 77')).toEqual([{ name: '이준호' }]);
  });

  it('gets a new epoch by `npm run restored`', async () => {
    const kim = await world.client(4);
    const roomId = await kim.group(5);
    const feed = kim.roomEvents({ roomId });
    await feed.count(1);
    const simple = kim.subscribe(messageAdded, { roomId, afterSeq: 1 });
    const { message: first } = await kim.send(roomId, 'before');
    await simple.count(1);
    const before = await positionOf(kim, roomId);
    await world.start({ EPOCH_GRACE_DAYS: '0' });

    const said = await restored(world);

    const { epoch } = await positionOf(kim, roomId);
    expect(epoch > before.epoch).toBe(true);
    expect(said).toContain(epoch);
    await isResynced(feed);
    await feed.until((events) => events.at(-1)?.epoch === epoch, 'events of that epoch');
    // A subscription without a resync event does not get the whole room again.
    const { message: second } = await kim.send(roomId, 'behind');
    await simple.until((events) => events.at(-1)?.messageAdded.id === second.id, 'the next message');
    expect(simple.events.map(({ messageAdded: { id } }) => id)).toEqual([first.id, second.id]);
    // A setting limits how long the epoch counts as new for clients that send none.
    expect((await replay(kim, { roomId, afterSeq: 3 })).map(tell)).toEqual([
      ['RoomResync', 3],
      ['RoomReady', 3],
    ]);
    expect((await replay(await world.client(4, 1), { roomId, afterSeq: 3 })).map(tell)).toEqual([['RoomReady', 3]]);
  });
});

describeWithNats('a log that goes back while clients follow it', () => {
  const world = useWorld({ instances: 2 });

  it('is fetched again, and new entries are not mistaken for lost ones', async () => {
    const [kim, lee] = [await world.client(4), await world.client(5, 1)];
    const roomId = await kim.group(5);
    const inbox = await InboxFollower.start(lee);
    const feeds = [kim, lee].map((client) => client.roomEvents({ roomId }));
    await Promise.all(feeds.map((feed) => feed.count(1)));
    for (let n = 0; n < 5; n += 1) await kim.send(roomId, `lost ${n}`);
    await Promise.all(feeds.map((feed) => feed.count(6)));
    await isPublished(world, roomId);

    await world.database.query('DELETE FROM chat_messages WHERE room_id = $1 AND seq > 3', [roomId]);
    await world.database.query('UPDATE chat_rooms SET seq = 3, published_seq = 3 WHERE id = $1', [roomId]);

    const isResync = ({ __typename }: RoomEvent) => __typename === 'RoomResync';
    await Promise.all(feeds.map(isResynced));
    for (let n = 0; n < 3; n += 1) await kim.send(roomId, `new ${n}`);
    for (const feed of feeds) {
      await feed.until((events) => events.at(-1)?.seq === 6, 'what came since');
      const since = feed.events.slice(feed.events.findIndex(isResync));
      expect(since.filter(({ __typename }) => __typename === 'MessageAdded').map(({ seq }) => seq)).toEqual([4, 5, 6]);
      expect(feed.events.filter(isResync)).toHaveLength(1);
    }
    // The log is at its old position, with other entries.
    await inbox.isRight();
    await isPublished(world, roomId);
    const { epoch } = await positionOf(kim, roomId);
    expect(await streamOf(world, roomId, epoch)).toEqual([4, 5, 6]);
  });
});

/** Moves the present epoch to a clock that is an hour ahead. Resolves with its new id. */
async function beginAhead({ query }: TestDatabase, epoch: string): Promise<string> {
  const ms = Number.parseInt(epoch.replace('-', '').slice(0, 12), 16) + 3_600_000;
  const time = ms.toString(16).padStart(12, '0');
  const ahead = `${time.slice(0, 8)}-${time.slice(8)}${epoch.slice(13)}`;
  await query('UPDATE chat_epochs SET id = $2 WHERE id = $1', [epoch, ahead]);
  return ahead;
}

async function countEpochs({ query }: TestDatabase): Promise<number> {
  return (await query('SELECT FROM chat_epochs')).length;
}

/** The output of `npm run restored`. */
async function restored({ database }: World): Promise<string> {
  const command = resolve('dist/commands/restored.js');
  const env = { PATH: process.env['PATH'], DATABASE_URL: database.url };
  const { stdout } = await promisify(execFile)(process.execPath, [command], { env });
  return stdout;
}

/** The present epoch if it is later than `epoch`. */
async function isLater(client: TestClient, roomId: string, epoch: string): Promise<string | undefined> {
  const position = await positionOf(client, roomId).catch(() => undefined);
  return position !== undefined && position.epoch > epoch ? position.epoch : undefined;
}

async function isResynced(feed: Feed<RoomEvent>): Promise<void> {
  await feed.until((events) => events.some(({ __typename }) => __typename === 'RoomResync'), 'the resync');
}

async function positionOf(client: TestClient, id: string): Promise<{ seq: number; epoch: string }> {
  const { room } = await client.http(roomPosition, { id });
  if (room == null) throw new Error(`No such room: ${id}`);
  return room;
}

/** All events up to RoomReady. */
async function replay(
  client: TestClient,
  position: { roomId: string; afterSeq: number; epoch?: string },
): Promise<RoomEvent[]> {
  const feed = client.roomEvents(position);
  const events = await feed.until((all) => all.some(({ __typename }) => __typename === 'RoomReady'), 'the replay');
  feed.stop();
  return events;
}

const tell = ({ __typename, seq }: RoomEvent) => [__typename, seq];

const isPublished = ({ database }: World, roomId: string) =>
  waitFor(
    async () => {
      const { head, publishedSeq } = await readStoredLog(database, roomId).catch(() => ({ head: 0, publishedSeq: -1 }));
      return head === publishedSeq;
    },
    { what: 'the published mark' },
  );

/** Positions of the room's entries in CHAT_MESSAGES that are of the epoch, each once. */
async function streamOf({ nats }: World, roomId: string, epoch: string): Promise<unknown[]> {
  const stored = await readChatMessages(nats);
  const seqs = stored
    .filter(({ body }) => body['roomId'] === roomId && body['epoch'] === epoch)
    .map(({ body }) => body['seq'] as number);
  return [...new Set(seqs)].sort((a, b) => a - b);
}
