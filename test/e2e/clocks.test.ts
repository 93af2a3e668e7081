import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { describeWithNats } from '../support/requirements.js';
import { readStoredLog } from '../support/room-log.js';
import { forgeToken, nowSeconds } from '../support/tokens.js';
import { listsOf, type, watch } from '../support/typing.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const hourMs = 3_600_000;
const shiftedClock = pathToFileURL(resolve(import.meta.dirname, '../support/shifted-clock-process.mjs'));

for (const [what, shiftMs] of [
  ['behind', -hourMs],
  ['ahead', hourMs],
] as const) {
  describeWithNats(`an instance whose clock is an hour ${what}`, () => {
    const world = useWorld({
      instances: 0,
      env: { NODE_OPTIONS: `--import=${shiftedClock}`, CLOCK_SHIFT_MS: String(shiftMs) },
    });
    /** A client whose token is valid by both clocks. */
    const clientOf = async (userId: number, instance: number, name: string) =>
      world.client(
        userId,
        instance,
        await forgeToken({ sub: String(userId), name, iat: nowSeconds() - 3_700, exp: nowSeconds() + 7_200 }),
      );

    it('publishes the entries that another instance left, and shows authors with their current names', async () => {
      const right = await world.start({ NODE_OPTIONS: '' });
      const kim = await clientOf(4, 0, '김철수');
      const roomId = await kim.group(5);
      await world.nats.kill();
      for (const content of ['하나', '둘', '셋']) await kim.send(roomId, content);
      await right.kill();
      await world.nats.restart({ wipe: false });

      await world.start();

      const isPublished = async () => {
        const { head, publishedSeq } = await readStoredLog(world.database, roomId);
        return publishedSeq === head;
      };
      await waitFor(isPublished, { what: 'all that the other one left to be published' });

      const lee = await clientOf(5, 1, '이영희');
      await world.database.query(`UPDATE chat_users SET name = '김영수' WHERE id = 4`);
      const told = lee.roomEvents({ roomId, afterSeq: 1 });
      await told.count(3);
      expect(told.events.map((event) => 'message' in event && event.message.sender?.name).slice(0, 3)).toEqual(
        Array(3).fill('김영수'),
      );
    });
  });
}

describeWithNats('a database whose clock was set back an hour behind what it has stored', () => {
  const world = useWorld({ instances: 1 });

  it('shows typing users, and shows authors with their current names', async () => {
    const [kim, lee] = [await world.client(4), await world.client(5)];
    const roomId = await kim.group(5);
    await lee.send(roomId, '하나');
    await world.database.query(`UPDATE chat_messages SET created_at = created_at + interval '1 hour'`);
    await world.database.query(`UPDATE chat_users SET name = '이영희' WHERE id = 5`);

    const feed = watch(kim, roomId);
    await feed.count(1);
    await type(lee, roomId);
    await feed.count(2);
    expect(listsOf(feed)).toEqual([[], [lee.userId]]);

    const told = kim.roomEvents({ roomId, afterSeq: 1 });
    await told.count(1);
    expect(told.events[0]).toMatchObject({ message: { sender: { name: '이영희' } } });
  });
});
