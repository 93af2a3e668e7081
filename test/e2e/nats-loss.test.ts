import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Follower } from '../support/follower.js';
import { gatherCrowd, type Load, sendLoad } from '../support/load.js';
import { editMessage } from '../support/operations.js';
import { useRandom } from '../support/random.js';
import { describeWithNats } from '../support/requirements.js';
import { countTo, readStoredLog } from '../support/room-log.js';
import { readChatMessages } from '../support/stream.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const messages = 2_000;
const natsAwayMs = 12_000;
/** Shorter than NATS is away, and beyond what a busy machine takes. */
const maxStallMs = 10_000;

describeWithNats('a load during which nats-server is killed and comes back without its store', () => {
  const world = useWorld();

  it('loses no send and no event, does not stall until NATS is back, and is published in the end', async ({
    annotate,
  }) => {
    const crowd = await gatherCrowd(world);
    const followers = [
      new Follower(await world.client(4, 0), crowd.roomIds),
      new Follower(await world.client(5, 1), crowd.roomIds),
    ] as const;
    for (const follower of followers) follower.resume();
    for (const roomId of crowd.roomIds) {
      for (const follower of followers) await waitFor(() => follower.isReady(roomId), { what: 'RoomReady' });
    }

    // This rejects if a send fails.
    const [load, killedAt] = await Promise.all([
      sendLoad(crowd, { messages, pauseMs: 80, random: useRandom() }),
      delay(2_000).then(loseNats),
    ]);
    expect(Math.max(...load.sent.map(({ startedAt }) => startedAt)) - killedAt).toBeGreaterThan(natsAwayMs);

    for (const roomId of crowd.roomIds) {
      const { head } = await readStoredLog(world.database, roomId);
      for (const follower of followers) {
        await waitFor(() => follower.newestSeq(roomId) >= head, { what: `position ${head} of ${roomId}` });
        const entries = follower.events(roomId).filter((event) => 'message' in event);
        expect(entries.map(({ seq }) => seq)).toEqual(countTo(head));
      }
    }
    const delays = followers.map((follower, instance) => measureDelays(load, follower, instance));
    const gaps = followers.map((follower) => measureGaps(follower.roomIds.flatMap((roomId) => follower.times(roomId))));
    const stalls = [delays, gaps].map((times) => Math.round(Math.max(...times.flat())));
    await annotate(`at most ${stalls[0]} ms from an answer to its event, and ${stalls[1]} ms between two events`);
    expect(Math.max(...stalls)).toBeLessThan(maxStallMs);

    await waitFor(() => isPublished(crowd.roomIds), { what: 'published_seq at seq in every room' });
    const stored = await readStream();
    const unpublished = load.sent.filter(
      ({ roomId, seq, startedAt }) => startedAt > killedAt && !stored.has(`${roomId}:${seq}`),
    );
    expect(unpublished, 'in CHAT_MESSAGES is whatever was sent without the old store').toEqual([]);
  });

  it('publishes a message that was sent without NATS, though it is edited all the time', async () => {
    const kim = await world.client(4, 0);
    const roomId = await kim.group(5);
    await world.nats.kill();
    const { message } = await kim.send(roomId, 'without NATS');
    await kim.http(editMessage, { input: { messageId: message.id, content: 'edited without NATS' } });
    const { head } = await readStoredLog(world.database, roomId);
    await world.nats.restart({ wipe: false });

    let edits = 0;
    await waitFor(
      async () => {
        await kim.http(editMessage, { input: { messageId: message.id, content: `edit ${++edits}` } });
        return (await readStoredLog(world.database, roomId)).publishedSeq >= head;
      },
      { what: 'message and edit to be published', pollMs: 200 },
    );
  });

  async function loseNats(): Promise<number> {
    await world.nats.kill();
    const killedAt = performance.now();
    await delay(natsAwayMs);
    await world.nats.restart({ wipe: true });
    return killedAt;
  }

  /** The times from each answer of the other instance to the message's arrival at this follower. */
  function measureDelays({ sent }: Load, follower: Follower, instance: number): number[] {
    const arrivals = new Map<string, number>();
    for (const roomId of follower.roomIds) {
      const times = follower.times(roomId);
      for (const [index, event] of follower.events(roomId).entries()) {
        if ('message' in event) arrivals.set(`${roomId}:${event.seq}`, times[index] as number);
      }
    }
    const foreign = sent.filter((message) => message.instance !== instance);
    return foreign.map(({ roomId, seq, answeredAt }) => (arrivals.get(`${roomId}:${seq}`) as number) - answeredAt);
  }

  function measureGaps(times: readonly number[]): number[] {
    const sorted = [...times].sort((a, b) => a - b);
    return sorted.slice(1).map((time, index) => time - (sorted[index] as number));
  }

  async function isPublished(roomIds: readonly string[]): Promise<boolean> {
    const logs = await Promise.all(roomIds.map((roomId) => readStoredLog(world.database, roomId)));
    return logs.every(({ head, publishedSeq }) => publishedSeq === head);
  }

  /** The rooms and positions of all messages in CHAT_MESSAGES. */
  const readStream = async (): Promise<Set<string>> =>
    new Set((await readChatMessages(world.nats)).map(({ body }) => `${body['roomId']}:${body['seq']}`));
});
