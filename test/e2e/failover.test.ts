import { expect, it } from 'vitest';
import type { Feed, RoomEvent, TestClient } from '../support/client.js';
import type { TestDatabase } from '../support/database.js';
import { InboxFollower } from '../support/inbox.js';
import type { Instance } from '../support/instance.js';
import { history } from '../support/operations.js';
import { startReplicatedPostgres } from '../support/own-postgres.js';
import { becomesReady } from '../support/readiness.js';
import { describeWithNats } from '../support/requirements.js';
import { readStoredLog } from '../support/room-log.js';
import { readChatMessages } from '../support/stream.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

describeWithNats('a failover to a standby that lacks the last entries', () => {
  let primary: TestDatabase;
  let standby: TestDatabase;
  let link: TcpProxy;
  const proxies: TcpProxy[] = [];
  const world = useWorld({
    instances: 0,
    database: async () => {
      ({ primary, standby, link } = await startReplicatedPostgres());
      for (let n = 0; n < 2; n += 1) proxies.push(await startTcpProxy(primary.url));
      return {
        url: primary.url,
        query: (sql, values) => standby.query(sql, values),
        drop: async () => {
          await Promise.all([...proxies.map((proxy) => proxy.stop()), primary.drop(), standby.drop()]);
        },
      };
    },
  });

  it('is followed by two instances at different times, and no client keeps lost entries or misses new ones', async () => {
    for (const { url } of proxies) await world.start({ DATABASE_URL: url });
    const [kim, lee] = [await world.client(4, 0), await world.client(5, 1)];
    const [busy, quiet] = [await kim.group(5), await kim.group(5)];
    for (let n = 0; n < 3; n += 1) await kim.send(busy, `common ${n}`);
    await waitFor(() => hasReached(busy, 4), { what: 'the standby to have everything' });
    const inbox = await InboxFollower.start(lee);
    const [early, late, unhurt] = [
      kim.roomEvents({ roomId: busy }),
      lee.roomEvents({ roomId: busy }),
      lee.roomEvents({ roomId: quiet }),
    ];
    await Promise.all([early, late, unhurt].map((feed) => feed.count(1)));

    await becomesReady(world.instances[1] as Instance, { postgres: 'ok' });
    await link.cut();
    for (let n = 0; n < 5; n += 1) await kim.send(busy, `lost ${n}`);
    await Promise.all([early, late].map((feed) => feed.count(6)));
    await standby.query('SELECT pg_promote()');
    const { epoch } = late.events[0] as RoomEvent;
    await lead(proxies[0] as TcpProxy);
    await waitFor(() => kim.send(busy, 'new 0').catch(() => undefined), { what: 'the new server to be written to' });
    // These pass the position of the late instance, which is notified of all of them.
    for (let n = 1; n < 8; n += 1) await kim.send(busy, `new ${n}`);
    await early.until((events) => events.at(-1)?.seq === 12, 'what came since');
    expect(late.events, 'nothing of it before the late one has found the new server').toHaveLength(6);
    // The instance has seen that there is a later epoch, and refuses changes that the old server would lose.
    await refuses(1);
    await becomesReady(world.instances[1] as Instance, { postgres: 'away' });
    await expect(lee.send(quiet, 'to the old server')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await lead(proxies[1] as TcpProxy);
    await late.until((events) => events.some(isResync), 'the resync');
    await kim.send(busy, 'to both');
    await kim.send(quiet, 'to both');

    for (const feed of [early, late]) {
      await feed.until((events) => events.at(-1)?.seq === 13, 'the newest');
      const [resync, ...more] = feed.events.filter(isResync);
      expect(more).toEqual([]);
      expect(resync !== undefined && resync.epoch > epoch).toBe(true);
      expect(await shows(kim, busy, feed)).toBe(true);
    }
    await unhurt.until((events) => events.at(-1)?.seq === 2, 'the newest of the quiet room');
    expect(unhurt.events.filter(isResync)).toEqual([]);
    await inbox.isRight();
    await waitFor(() => isPublished(busy), { what: 'the published mark' });
    const inStream = (await readChatMessages(world.nats))
      .filter(({ body }) => body['roomId'] === busy && body['epoch'] === late.events.at(-1)?.epoch)
      .map(({ body }) => body['seq']);
    expect(inStream).toEqual(expect.arrayContaining([5, 6, 7, 8, 9, 10, 11, 12, 13]));

    // Back to the old server, which would accept the message.
    await lead(proxies[0] as TcpProxy, primary);
    await refuses(0);
    await expect(kim.send(busy, 'to the old server')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await lead(proxies[0] as TcpProxy);
    await waitFor(() => kim.send(busy, 'and back').catch(() => undefined), { what: 'the new server' });
  });

  /** The instance was connected to the old server, and logs that. */
  const refuses = (instance: number) =>
    waitFor(() => world.instances[instance]?.output().includes('in an earlier epoch'), {
      what: 'the old server to be refused',
    });

  const isResync = ({ __typename }: RoomEvent) => __typename === 'RoomResync';

  /** The messages that arrived after the resync are those that a query returns after its position. */
  async function shows(client: TestClient, id: string, { events }: Feed<RoomEvent>): Promise<boolean> {
    const at = events.findIndex(isResync);
    const from = events[at]?.seq ?? 0;
    const added = events.slice(at).flatMap((event) => ('message' in event ? [event.message.id] : []));
    const { room } = await client.http(history, { id, last: 50 });
    const all = room?.messages.edges.map(({ node }) => node) ?? [];
    expect(added).toEqual(all.filter(({ seq }) => seq > from).map((message) => message.id));
    return true;
  }

  async function lead(proxy: TcpProxy, to = standby): Promise<void> {
    await proxy.cut();
    proxy.redirect(to.url);
    await proxy.restore();
  }

  async function hasReached(roomId: string, seq: number): Promise<boolean> {
    const [row] = await standby.query<{ seq: number }>('SELECT seq FROM chat_rooms WHERE id = $1', [roomId]);
    return row?.seq === seq;
  }

  async function isPublished(roomId: string): Promise<boolean> {
    const { head, publishedSeq } = await readStoredLog(world.database, roomId);
    return head === publishedSeq;
  }
});
