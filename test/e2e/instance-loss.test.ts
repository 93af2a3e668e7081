import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import type { RoomEvent, TestClient } from '../support/client.js';
import { describeWithNats } from '../support/requirements.js';
import { countTo, readStoredLog } from '../support/room-log.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const rounds = 5;
const sendsPerRound = 60;
const killAfter = 20;

describeWithNats('an instance that is killed in the middle of sends', () => {
  const world = useWorld({ instances: 1 });

  it('loses nothing: every answered send is stored, retries are safe elsewhere, and readers resume', async () => {
    const writer = await world.client(4, 0);
    const reader = await world.client(5, 0);
    const roomId = await writer.group(5);
    const told = reader.roomEvents({ roomId, afterSeq: 0 });

    for (let round = 1; round <= rounds; round += 1) {
      const doomed = await world.start();
      const at = world.instances.length - 1;
      const [lostWriter, lostReader] = [await world.client(4, at), await world.client(5, at)];
      const lost = lostReader.roomEvents({ roomId, afterSeq: 0 });
      await lost.until((events) => events.some(({ __typename }) => __typename === 'RoomReady'), 'RoomReady');

      const ids = countTo(sendsPerRound).map(() => randomUUID());
      let answered = 0;
      const sends = ids.map(async (id) => {
        const sent = await trySend(lostWriter, roomId, id);
        if (sent === undefined) return;
        answered += 1;
        if (answered === killAfter) void doomed.kill();
        return { id, seq: sent };
      });
      const acknowledged = (await Promise.all(sends)).filter((sent) => sent !== undefined);
      expect(acknowledged.length).toBeGreaterThanOrEqual(killAfter);

      for (const { id, seq } of acknowledged) {
        expect(await writer.send(roomId, id, id)).toMatchObject({ duplicate: true, message: { seq } });
      }
      await Promise.all(ids.map((id) => writer.send(roomId, id, id)));

      // A reader of the killed instance resumes elsewhere, after its last event.
      const seen = lost.events.filter(isAdded).map(({ seq }) => seq);
      const { head } = await readStoredLog(world.database, roomId);
      const resumed = reader.roomEvents({ roomId, afterSeq: seen.at(-1) ?? 0 });
      await resumed.until((events) => (events.at(-1)?.seq ?? 0) >= head, `position ${head}`);
      expect([...seen, ...resumed.events.filter(isAdded).map(({ seq }) => seq)]).toEqual(countTo(head));
      resumed.stop();
    }

    const { head, added } = await readStoredLog(world.database, roomId);
    expect(added).toEqual(countTo(1 + rounds * sendsPerRound));
    await told.until((events) => (events.at(-1)?.seq ?? 0) >= head, `position ${head}`);
    expect(told.events.filter(isAdded).map(({ seq }) => seq)).toEqual(countTo(head));
    const isPublished = async () => (await readStoredLog(world.database, roomId)).publishedSeq === head;
    await waitFor(isPublished, { what: 'what the killed instances left unpublished' });
  });

  /** Resolves with the message's position, or undefined if the instance died before it answered. */
  async function trySend(client: TestClient, roomId: string, id: string): Promise<number | undefined> {
    try {
      return (await client.sendOverWs(roomId, id, id)).message.seq;
    } catch {
      return undefined;
    }
  }

  const isAdded = ({ __typename }: RoomEvent): boolean => __typename === 'MessageAdded';
});
