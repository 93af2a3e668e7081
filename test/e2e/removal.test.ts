import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { ApiError, type Feed, type RoomEvent, type TestClient } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import {
  editMessage,
  eventsWithRoom,
  inviteMembers,
  markRead,
  removeMember,
  renameRoom,
  roomEvents,
} from '../support/operations.js';
import { type Random, useRandom } from '../support/random.js';
import { describeWithNats } from '../support/requirements.js';
import { countTo } from '../support/room-log.js';
import { RawSocket } from '../support/wire.js';
import { useWorld } from '../support/world.js';

const [kimId, leeId, parkId] = [4, 5, 6];

/** The same user at both instances. */
type Everywhere = readonly [TestClient, TestClient];

/** Kim, the admin, removes Lee while Lee and Park write; Lee follows at the instance where Kim is not. */
interface Round {
  readonly feed: Feed<RoomEvent>;
  /** From the removal's answer to the end of the subscription. */
  readonly endedAfterMs: number;
  /** The messages that Lee sent meanwhile and that were accepted. */
  readonly acceptedIds: readonly string[];
}

interface Plan {
  readonly rooms: number;
  readonly roundsPerRoom: number;
  /** Whether Lee and Park write at both instances. If not, their writes give the other one no hint of the removal. */
  readonly isBusyElsewhere: boolean;
  readonly random: Random;
}

const sendsPerRound = 6;
/** Beyond what a busy machine takes. Without the removal, a subscription would not end at all. */
const maxEndMs = 10_000;
const withoutLee = 'without Lee';

describeWithNats("a member's removal", () => {
  const world = useWorld();

  it('ends their sends and their feed, in 300 races with their own sends', async ({ annotate }) => {
    const rounds = await playRounds({ rooms: 4, roundsPerRoom: 75, isBusyElsewhere: true, random: useRandom() });
    const won = rounds.filter(({ acceptedIds }) => acceptedIds.length > 0 && acceptedIds.length < sendsPerRound);
    expect(won.length, 'races with sends on both sides of the removal').toBeGreaterThan(rounds.length / 3);
    await annotate(`at most ${slowest(rounds)} ms after the removal`);
    expect(slowest(rounds)).toBeLessThan(maxEndMs);
  });

  it('ends their subscription while NATS is down', async ({ annotate }) => {
    await world.nats.kill();
    const rounds = await playRounds({ rooms: 6, roundsPerRoom: 3, isBusyElsewhere: false, random: useRandom() });
    await annotate(`at most ${slowest(rounds)} ms after the removal`);
    expect(slowest(rounds)).toBeLessThan(maxEndMs);
  });

  it('hides later states of the room from events that are still on their way', async () => {
    const [kim, lee] = [await world.client(kimId, 0), await world.client(leeId, 1)];
    for (let round = 0; round < 20; round += 1) {
      const roomId = await kim.group(leeId, parkId);
      const feed = lee.subscribe(eventsWithRoom, { roomId });
      await feed.count(1);

      const sends = countTo(5).map((index) => kim.send(roomId, `before ${index}`));
      const removal = kim.http(removeMember, { input: { roomId, userId: String(leeId) } });
      await Promise.all([...sends, removal]);
      await Promise.all([
        kim.http(renameRoom, { input: { roomId, name: withoutLee } }),
        kim.http(inviteMembers, { input: { roomId, userIds: ['7'] } }),
        kim.send(roomId, withoutLee),
      ]);
      expect(await feed.ended()).toMatchObject({ code: expect.stringMatching(/^(FORBIDDEN|NOT_FOUND)$/) });

      const seen = JSON.stringify(feed.events);
      expect(seen).not.toContain(withoutLee);
      expect(seen).not.toContain('"7"');
    }
  });

  it('ends their replay within a page after the buffered events, however much is left', async () => {
    const [kim, lee] = [await world.client(kimId), await world.client(leeId)];
    const roomId = await kim.group(leeId);
    const upTo = await fillRoom(roomId);
    const socket = await RawSocket.connect(world.instances[1] as Instance, lee.token);
    onTestFinished(() => socket.ws.terminate());
    const stop = () => socket.messages.at(-1)?.type === 'next' && socket.ws.pause();
    socket.ws.on('message', stop);
    const variables = { roomId, afterSeq: 0 };
    socket.subscribe('replay', { query: roomEvents.toString(), variables });
    await socket.until(({ type }) => type === 'next', 'the replay');

    await kim.http(removeMember, { input: { roomId, userId: String(leeId) } });
    await kim.send(roomId, withoutLee);
    socket.ws.off('message', stop);
    socket.ws.resume();
    await socket.until(({ type }) => type === 'complete', 'the end of the replay');

    const results = socket.messages.filter(({ type }) => type === 'next').map(({ payload }) => payload);
    expect(results.at(-1)).toMatchObject({ errors: [{ extensions: { code: 'FORBIDDEN' } }] });
    expect(results.length).toBeGreaterThan(1);
    expect(results.length, 'what was on its way, and a page').toBeLessThan(upTo * 0.75);
    expect(JSON.stringify(results)).not.toContain(withoutLee);
  });

  const slowest = (rounds: readonly Round[]) => Math.round(Math.max(...rounds.map(({ endedAfterMs }) => endedAfterMs)));

  /** Stores more than the operating system's buffers take. Resolves with the head of the log. */
  async function fillRoom(roomId: string): Promise<number> {
    const upTo = 2_000;
    await world.database.query(
      `INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content)
       SELECT gen_random_uuid(), $1, n, n, $2, 'kim', 'TEXT', $3 FROM generate_series(2, $4::int) n`,
      [roomId, kimId, '가'.repeat(4_000), upTo],
    );
    await world.database.query('UPDATE chat_rooms SET seq = $2, published_seq = $2 WHERE id = $1', [roomId, upTo]);
    return upTo;
  }

  async function playRounds(plan: Plan): Promise<Round[]> {
    const [kim, lee, park] = await Promise.all([everywhere(kimId), everywhere(leeId), everywhere(parkId)]);
    const plays = countTo(plan.rooms).map(async () => {
      const own = { ...plan, random: plan.random.fork() };
      const roomId = await kim[0].group(leeId, parkId);
      const rounds: Round[] = [];
      for (let round = 0; round < plan.roundsPerRoom; round += 1) {
        rounds.push(await playRound(roomId, { kim, lee, park }, own));
        await kim[0].http(inviteMembers, { input: { roomId, userIds: [String(leeId)] } });
      }
      await assertSilence(roomId, rounds);
      return rounds;
    });
    return (await Promise.all(plays)).flat();
  }

  async function playRound(
    roomId: string,
    { kim, lee, park }: Record<'kim' | 'lee' | 'park', Everywhere>,
    { isBusyElsewhere, random }: Plan,
  ): Promise<Round> {
    const [here, there] = random.pick([
      [0, 1],
      [1, 0],
    ] as const);
    const atWork = (user: Everywhere) => (isBusyElsewhere ? random.pick(user) : user[here]);
    const feed = lee[there].roomEvents({ roomId, reads: random.pick(['EACH', 'BATCHED']) });
    await feed.until((events) => events.some(({ __typename }) => __typename === 'RoomReady'), 'RoomReady');

    const { message } = await atWork(park).send(roomId, 'to all');
    const sends = countTo(sendsPerRound).map(() => sendSometime(atWork(lee), roomId, random));
    await delay(random.between(0, 30));
    await kim[here].http(removeMember, { input: { roomId, userId: String(leeId) } });
    const removedAt = performance.now();
    const [ending] = await Promise.all([
      feed.ended().then((error) => ({ error, endedAfterMs: performance.now() - removedAt })),
      atWork(park).http(editMessage, { input: { messageId: message.id, content: withoutLee } }),
      ...countTo(2).map(() => sendAndRead(roomId, atWork(park), atWork(kim))),
    ]);

    expect(ending.error?.code).toBe('FORBIDDEN');
    const ids = await Promise.all(sends);
    return { feed, endedAfterMs: ending.endedAfterMs, acceptedIds: ids.filter((id) => id !== undefined) };
  }

  /** Sends a message that Lee must not see any more, and marks it as read. */
  async function sendAndRead(roomId: string, writer: TestClient, reader: TestClient): Promise<void> {
    const { message } = await writer.send(roomId, withoutLee);
    await reader.http(markRead, { input: { roomId, messageId: message.id } });
  }

  /** Resolves with the message's id, or undefined if it was refused because Lee is not a member. */
  async function sendSometime(client: TestClient, roomId: string, random: Random): Promise<string | undefined> {
    await delay(random.between(0, 30));
    try {
      return (await client.send(roomId, 'from Lee')).message.id;
    } catch (error) {
      if (error instanceof ApiError && error.code === 'NOT_FOUND') return undefined;
      throw error;
    }
  }

  /** Between each removal and the next invitation, the log has no entry of Lee's and Lee's feed has no event at all. */
  async function assertSilence(roomId: string, rounds: readonly Round[]): Promise<void> {
    const log = await world.database.query<{ id: string; seq: number; senderId: number; code: string | null }>(
      `SELECT id, seq, sender_id AS "senderId", system->>'code' AS code FROM chat_messages
       WHERE room_id = $1 ORDER BY seq`,
      [roomId],
    );
    const seqsOf = (code: string) => log.filter((entry) => entry.code === code).map(({ seq }) => seq);
    const returns = seqsOf('MEMBERS_JOINED');
    const removals = seqsOf('MEMBER_REMOVED');
    expect(removals.length).toBe(rounds.length);
    for (const [index, removal] of removals.entries()) {
      const absence = log.filter(({ seq }) => seq > removal && seq < (returns[index] as number));
      expect(absence.length, 'something was there to see').toBeGreaterThanOrEqual(2);
      expect(absence.filter(({ senderId }) => senderId === leeId)).toEqual([]);
      expect(rounds[index]?.feed.events.filter((event) => tellsOfMoreThan(event, removal))).toEqual([]);
    }

    const stored = log.filter(({ senderId }) => senderId === leeId).map(({ id }) => id);
    expect(stored.sort(), 'accepted is stored, refused is not').toEqual(rounds.flatMap((r) => r.acceptedIds).sort());
  }

  function tellsOfMoreThan(event: RoomEvent, seq: number): boolean {
    if (event.__typename === 'MemberRead') return event.member.lastReadSeq > seq;
    if (event.__typename === 'MembersRead') return event.members.some(({ lastReadSeq }) => lastReadSeq > seq);
    return event.seq > seq || ('message' in event && event.message.content === withoutLee);
  }

  async function everywhere(userId: number): Promise<Everywhere> {
    return [await world.client(userId, 0), await world.client(userId, 1)];
  }
});
