import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { applyEvents, Follower, readHistory } from '../support/follower.js';
import { type Crowd, gatherCrowd, type Load, sendLoad } from '../support/load.js';
import { type Random, useRandom } from '../support/random.js';
import { describeWithNats } from '../support/requirements.js';
import { countTo, readStoredLog } from '../support/room-log.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const messages = 2_000;
const cuts = 50;
const abnormalClosure = '1006';

describeWithNats('a subscriber on each instance, cut off at 50 random moments of a load', () => {
  const world = useWorld();

  it('resumes after its newest seq and gets every log complete, in order, without a repeat', async () => {
    const random = useRandom();
    const crowd = await gatherCrowd(world);
    const clients = [await world.client(4, 0), await world.client(5, 1)] as const;
    const followers = clients.map((client) => new Follower(client, crowd.roomIds));

    const [load] = await Promise.all([
      sendLoad(crowd, { messages, pauseMs: 45, changeRate: 0.25, random }),
      ...followers.map((follower) => followWithCuts(follower, random.fork())),
    ]);
    await assertNoHoles(crowd, load);

    for (const roomId of crowd.roomIds) {
      const { head, added } = await readStoredLog(world.database, roomId);
      for (const follower of followers) {
        await waitFor(() => follower.newestSeq(roomId) >= head, { what: `position ${head} of ${roomId}` });
        const events = follower.events(roomId);
        const entries = events.filter((event) => 'message' in event).map(({ seq }) => seq);
        const told = events.filter(({ __typename }) => __typename === 'MessageAdded').map(({ seq }) => seq);

        expect(entries, 'grows only').toEqual([...new Set(entries)].sort((a, b) => a - b));
        expect(told, 'every message once').toEqual(added);
        expect(applyEvents(events)).toEqual(await readHistory(clients[0], roomId));
        expect(follower.endings(roomId).map((error) => error?.code)).toEqual([
          ...Array.from({ length: cuts }, () => abnormalClosure),
          undefined,
        ]);
      }
    }
  });

  /** A cut may come while the connection or a replay is still under way. */
  async function followWithCuts(follower: Follower, random: Random): Promise<void> {
    for (let cut = 0; cut < cuts; cut += 1) {
      follower.resume();
      await delay(random.between(0, 300));
      await follower.cutOff();
    }
    follower.resume();
  }

  /** Every write took exactly one position; one without a message belongs to a change that a later one replaced. */
  async function assertNoHoles({ roomIds }: Crowd, { sent, changes }: Load): Promise<void> {
    for (const roomId of roomIds) {
      const { head, added, changed } = await readStoredLog(world.database, roomId);
      const changesHere = changes.filter((change) => change.roomId === roomId);
      const madeOver = changesHere.length - new Set(changesHere.map(({ id }) => id)).size;
      const positions = [...added, ...changed].sort((a, b) => a - b);
      const roomCreated = 1;

      expect(added.length).toBe(roomCreated + sent.filter((message) => message.roomId === roomId).length);
      expect(head).toBe(added.length + changesHere.length);
      expect(positions).toEqual(countTo(head).filter((seq) => positions.includes(seq)));
      expect(positions.length + madeOver).toBe(head);
    }
  }
});
