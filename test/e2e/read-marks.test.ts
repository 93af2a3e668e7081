import { beforeAll, expect, it } from 'vitest';
import type { Feed, RoomEvent, TestClient } from '../support/client.js';
import { markRead, oneRoom, readMoves, roomPosition } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { useWorld } from '../support/world.js';

const size = 60;
const messages = 3;

type Reads = 'EACH' | 'BATCHED' | 'NONE';

describeWithNats(`a room of ${size} over two instances`, () => {
  const world = useWorld();
  let members: TestClient[];
  let roomId: string;
  beforeAll(async () => {
    members = await Promise.all(Array.from({ length: size }, (_, place) => world.client(100 + place, place % 2)));
    const [first, ...others] = members as [TestClient, ...TestClient[]];
    roomId = await first.group(...others.map(({ userId }) => userId));
  });

  it('delivers all marks to everybody one by one with EACH, and together with BATCHED', async () => {
    const marked = members.length * messages;
    const each = await readTogether('EACH');
    const batched = await readTogether('BATCHED');

    for (const { feeds, head, seconds } of [each, batched]) {
      for (const feed of feeds) {
        expectOrdered(feed);
        const newest = new Map(feed.events.flatMap(marksIn).map(({ user, lastReadSeq }) => [user.id, lastReadSeq]));
        expect(newest).toEqual(new Map(members.map(({ userId }) => [String(userId), head])));
        for (const { userId } of members) expect(countOf(feed, userId)).toBeLessThanOrEqual(seconds + 1);
      }
    }
    for (const feed of each.feeds) expect(countMarks(feed)).toBeLessThanOrEqual(marked);
    for (const feed of batched.feeds) expect(countMarks(feed)).toBeLessThanOrEqual(batched.seconds + 1);
  });

  it('delivers no marks with NONE, and a member joins the others again with the next subscription', async () => {
    const [reader, watcher] = members.slice(0, 2) as [TestClient, TestClient];
    const [none, each] = await Promise.all([watch(watcher, 'NONE'), watch(watcher, 'EACH')]);
    const { message } = await reader.send(roomId, 'read this');
    await read(reader, message.id);
    await each.until((events) => events.some((event) => marksIn(event).length > 0), 'the mark');
    const { message: last } = await reader.send(roomId, 'the last');
    await none.until((events) => events.at(-1)?.seq === last.seq, 'the last message');

    expect(none.events.map(({ __typename }) => __typename)).toEqual(['RoomReady', 'MessageAdded', 'MessageAdded']);
    none.stop();
    const again = watcher.roomEvents({ roomId, reads: 'BATCHED', afterSeq: message.seq });
    await again.until((events) => events.some(({ __typename }) => __typename === 'RoomReady'), 'RoomReady');
    await read(reader, last.id);
    await again.until((events) => events.some((event) => marksIn(event).length > 0), 'the next mark');

    expect(again.events.map(({ __typename }) => __typename)).toEqual(['MessageAdded', 'RoomReady', 'MembersRead']);
    expect(again.events.at(-1)).toMatchObject({
      seq: last.seq,
      members: [{ user: { id: String(reader.userId) }, lastReadSeq: last.seq }],
    });
    each.stop();
    again.stop();
  });

  it("shows a member's first mark at once and then the newest of a burst, at most one a second", async () => {
    const [reader, here, there] = [members[0], members[2], members[1]] as [TestClient, TestClient, TestClient];
    const ids: string[] = [];
    for (let n = 0; n < 60; n += 1) ids.push((await reader.send(roomId, `${n}`)).message.id);
    const feeds = await Promise.all([watch(here, 'EACH'), watch(there, 'EACH')]);
    const head = feeds[0]?.events[0]?.seq ?? 0;
    const startedAt = performance.now();

    for (const id of ids) await read(reader, id);

    for (const feed of feeds) {
      await feed.until((events) => events.some((event) => marksIn(event)[0]?.lastReadSeq === head), 'the newest mark');
      const seqs = feed.events.flatMap(marksIn).map(({ lastReadSeq }) => lastReadSeq);
      expect(seqs[0], 'the first at once').toBe(head - 59);
      expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
      expect(seqs.length).toBeLessThanOrEqual((performance.now() - startedAt) / 1_000 + 1);
      feed.stop();
    }
  });

  it('delivers the marks of an outage of NATS when it is over, one by one and together', async () => {
    const readers = members.slice(0, 4);
    const feeds = await Promise.all([
      watch(members[5] as TestClient, 'EACH'),
      watch(members[5] as TestClient, 'BATCHED'),
    ]);
    const { message } = await (members[0] as TestClient).send(roomId, 'before');
    for (const feed of feeds) await feed.until((events) => events.at(-1)?.seq === message.seq, 'the message');

    await world.nats.kill();
    // Two of them are at the other instance.
    await Promise.all(readers.map((reader) => read(reader, message.id)));
    await world.nats.restart({ wipe: false });

    const wanted = readers.map(({ userId }) => String(userId)).sort();
    for (const feed of feeds) {
      // Marks of the time before the outage may come, too.
      const ofOutage = () => feed.events.flatMap(marksIn).filter(({ lastReadSeq }) => lastReadSeq === message.seq);
      await feed.until(() => ofOutage().length >= wanted.length, 'all marks');
      expect(
        ofOutage()
          .map(({ user }) => user.id)
          .sort(),
      ).toEqual(wanted);
      feed.stop();
    }
  });

  it('says where each mark stood before, so that every message is told as read once', async () => {
    const [reader, here, there] = [members[0], members[2], members[1]] as [TestClient, TestClient, TestClient];
    const { room } = await reader.http(oneRoom, { id: roomId });
    let standing = room?.members.find(({ user }) => user.id === String(reader.userId))?.lastReadSeq;
    const feeds = [here, there].map((client) => client.subscribe(readMoves, { roomId }));
    await Promise.all(feeds.map((feed) => feed.count(1)));
    const ids: string[] = [];
    for (let n = 0; n < 12; n += 1) ids.push((await reader.send(roomId, `${n}`)).message.id);
    const { room: now } = await reader.http(roomPosition, { id: roomId });

    for (const id of ids) await read(reader, id);

    for (const feed of feeds) {
      const moves = () =>
        feed.events.flatMap(({ roomEvents: event }) => (event.__typename === 'MemberRead' ? [event] : []));
      await feed.until(() => moves().at(-1)?.member.lastReadSeq === now?.seq, 'the newest mark');
      for (const { previousSeq, member } of moves()) {
        expect(previousSeq).toBe(standing);
        standing = member.lastReadSeq;
      }
      standing = moves()[0]?.previousSeq;
      feed.stop();
    }
  });

  /** Everybody marks each of some messages while everybody watches. */
  async function readTogether(reads: Reads) {
    const feeds = await Promise.all(members.map((member) => watch(member, reads)));
    const startedAt = performance.now();
    let head = 0;
    for (let n = 0; n < messages; n += 1) {
      const { message } = await (members[n] as TestClient).send(roomId, `${reads} ${n}`);
      head = message.seq;
      await Promise.all(members.map((member) => read(member, message.id)));
    }
    for (const feed of feeds) {
      const hasAll = (events: readonly RoomEvent[]) =>
        events.flatMap(marksIn).filter(({ lastReadSeq }) => lastReadSeq === head).length === members.length;
      await feed.until(hasAll, 'all marks');
      feed.stop();
    }
    return { feeds, head, seconds: (performance.now() - startedAt) / 1_000 };
  }

  async function watch(member: TestClient, reads: Reads): Promise<Feed<RoomEvent>> {
    const feed = member.roomEvents({ roomId, reads });
    await feed.until((events) => events.some(({ __typename }) => __typename === 'RoomReady'), 'RoomReady');
    return feed;
  }

  const read = (member: TestClient, messageId: string) => member.http(markRead, { input: { roomId, messageId } });
});

/** Marks never go back, and none comes before the entry that it refers to. */
function expectOrdered(feed: Feed<RoomEvent>): void {
  const known = new Map<string, number>();
  let seq = 0;
  for (const event of feed.events) {
    expect(event.seq).toBeGreaterThanOrEqual(seq);
    seq = event.seq;
    for (const { user, lastReadSeq } of marksIn(event)) {
      expect(lastReadSeq).toBeLessThanOrEqual(seq);
      expect(lastReadSeq).toBeGreaterThan(known.get(user.id) ?? 0);
      known.set(user.id, lastReadSeq);
    }
  }
}

function marksIn(event: RoomEvent) {
  if (event.__typename === 'MemberRead') return [event.member];
  return event.__typename === 'MembersRead' ? event.members : [];
}

const countMarks = ({ events }: Feed<RoomEvent>): number => events.filter((event) => marksIn(event).length > 0).length;

const countOf = ({ events }: Feed<RoomEvent>, userId: number): number =>
  events.filter((event) => marksIn(event).some(({ user }) => user.id === String(userId))).length;
