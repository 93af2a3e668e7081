import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import type { Instance } from '../support/instance.js';
import { renameRoom } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { countTo, readStoredLog } from '../support/room-log.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

describeWithNats('an instance that freezes in the middle of a change', () => {
  const world = useWorld({ instances: 2 });

  it('keeps the room locked for seconds only, and loses no entry when it goes on', async () => {
    const frozen = world.instances[0] as Instance;
    onTestFinished(() => void process.kill(frozen.pid, 'SIGCONT'));
    const [kim, lee] = [await world.client(4, 0), await world.client(5, 1)];
    const roomId = await kim.group(5);
    const feeds = [kim.roomEvents({ roomId, afterSeq: 0 }), lee.roomEvents({ roomId, afterSeq: 0 })];
    await Promise.all(feeds.map((feed) => feed.count(1)));

    let isOver = false;
    const renames = countTo(4).map(async (number) => {
      for (let name = 0; !isOver; name += 1) {
        await kim.http(renameRoom, { input: { roomId, name: `${number}: ${name}` } }).catch(() => undefined);
      }
    });
    await waitFor(() => freezeWithLock(frozen), { what: 'an open transaction', timeoutMs: 30_000 });
    isOver = true;

    const send = () => lee.send(roomId, 'over the other instance').catch(() => undefined);
    const sent = await waitFor(send, { what: 'a send to the room', timeoutMs: 20_000 });

    process.kill(frozen.pid, 'SIGCONT');
    await Promise.all(renames);
    const { message } = await waitFor(() => kim.send(roomId, 'it goes on').catch(() => undefined), {
      what: 'its send',
    });
    expect(message.seq).toBeGreaterThan(sent?.message.seq ?? Number.NaN);
    const { head } = await readStoredLog(world.database, roomId);
    for (const feed of feeds) {
      await feed.until((events) => events.at(-1)?.seq === head, `position ${head}`);
      expect(feed.events.filter((event) => 'message' in event).map(({ seq }) => seq)).toEqual(countTo(head));
    }
  }, 90_000);

  /** Freezes the instance; lets it go on at once, unless it has a transaction that waits for its next statement. */
  async function freezeWithLock({ pid }: Instance): Promise<boolean> {
    // Each time at another moment of its work.
    await delay(Math.random() * 10);
    process.kill(pid, 'SIGSTOP');
    const open = await world.database.query(
      `SELECT FROM pg_stat_activity a JOIN pg_locks l USING (pid)
       WHERE a.datname = current_database() AND a.state = 'idle in transaction' AND l.mode = 'RowExclusiveLock'
         AND l.relation = 'chat_rooms'::regclass`,
    );
    if (open.length > 0) return true;
    process.kill(pid, 'SIGCONT');
    return false;
  }
});
