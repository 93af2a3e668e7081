import pg from 'pg';
import { beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import type { Instance } from '../support/instance.js';
import { moveMark } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

vi.setConfig({ testTimeout: 120_000 });

const readerId = 4;

describeWithNats('a read mark that was committed, but not published by its instance', () => {
  const world = useWorld({ instances: 0 });
  let way: TcpProxy;
  beforeAll(async () => {
    way = await startTcpProxy(world.database.url);
    await world.start();
    return async () => {
      await Promise.all(world.instances.map((instance) => instance.kill()));
      await way.stop();
    };
  });

  it.each([
    ['was killed at that moment', (instance: Instance) => instance.kill()],
    ['never got the answer of the database', () => way.restore()],
  ])('reaches subscribers of each kind though it %s', async (_what, goOn) => {
    onTestFinished(() => way.restore());
    const doomed = world.instances.length;
    const instance = await world.start({ DATABASE_URL: way.url });
    const [reader, watcher] = [await world.client(readerId, doomed), await world.client(5, 0)];
    const roomId = await watcher.group(readerId);
    const feeds = (['EACH', 'BATCHED'] as const).map((reads) => watcher.roomEvents({ roomId, reads, afterSeq: 0 }));
    const { message } = await watcher.send(roomId, 'read this');
    for (const feed of feeds) await feed.until((events) => events.at(-1)?.seq === message.seq, 'the message');

    const member = 'chat_room_members WHERE room_id = $1 AND user_id = $2';
    const holder = new pg.Client({ connectionString: world.database.url });
    await holder.connect();
    onTestFinished(() => holder.end());
    await holder.query('BEGIN');
    await holder.query(`SELECT FROM ${member} FOR UPDATE`, [roomId, readerId]);
    const answer = reader.http(moveMark, { input: { roomId, messageId: message.id } }).catch((error: unknown) => error);
    const isWaiting = async () => {
      const waiting = await world.database.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      return waiting.length > 0;
    };
    await waitFor(isWaiting, { what: 'the mark to wait for the lock', pollMs: 5 });
    await way.cut({ silently: true });
    await holder.query('COMMIT');
    const isStored = async () => {
      const [row] = await world.database.query<{ last_read_seq: number }>(`SELECT last_read_seq FROM ${member}`, [
        roomId,
        readerId,
      ]);
      return row?.last_read_seq === message.seq;
    };
    await waitFor(isStored, { what: 'the commit' });
    // Its connections end before their answers arrive.
    await way.cut();
    await goOn(instance);
    expect(await answer).toBeInstanceOf(Error);

    const isMark = ({ __typename }: { __typename: string }) =>
      __typename === 'MemberRead' || __typename === 'MembersRead';
    for (const feed of feeds) {
      await feed.until((events) => events.some(isMark), 'the mark', 40_000);
      const [mark, ...more] = feed.events.filter(isMark);
      expect(mark).toMatchObject(
        mark?.__typename === 'MemberRead'
          ? { member: { user: { id: String(readerId) }, lastReadSeq: message.seq } }
          : { members: [{ user: { id: String(readerId) }, lastReadSeq: message.seq }] },
      );
      expect(more).toEqual([]);
      feed.stop();
    }
  });
});
