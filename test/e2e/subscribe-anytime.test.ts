import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { Feed, TestClient } from '../support/client.js';
import { roomPositions } from '../support/operations.js';
import { type Random, useRandom } from '../support/random.js';
import { describeWithNats } from '../support/requirements.js';
import { countTo } from '../support/room-log.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';
import type { RoomPositionsSubscription } from './generated/graphql.js';

const subscriptions = 500;
const subscribers = 10;
const messagesPerSecond = 200;
const maxUnanswered = 50;

type Position = RoomPositionsSubscription['roomEvents'];

/** A room, and the position of the newest message that was answered. */
interface BusyRoom {
  readonly id: string;
  head: number;
}

describeWithNats('a subscription that begins at a random moment, under 200 messages a second', () => {
  const world = useWorld();

  it('misses nothing and repeats nothing, from wherever it starts, 500 times', async () => {
    const random = useRandom();
    const clients = [await world.client(4, 0), await world.client(5, 1)] as const;
    const rooms = [await clients[0].group(5), await clients[0].direct(5)].map((id) => ({ id, head: 1 }));
    const load = startLoad(clients, rooms);
    const visitors = countTo(subscribers).map(() => visitOften(clients, rooms, random.fork()));
    try {
      await Promise.race([Promise.all(visitors), load.failed]);
    } finally {
      await load.stop();
    }
  });

  async function visitOften(clients: readonly TestClient[], rooms: readonly BusyRoom[], random: Random): Promise<void> {
    for (let visit = 0; visit < subscriptions / subscribers; visit += 1) {
      await delay(random.between(0, 150));
      await subscribeOnce(random.pick(clients), random.pick(rooms), random);
    }
  }

  async function subscribeOnce(client: TestClient, room: BusyRoom, random: Random): Promise<void> {
    const answered = room.head;
    const afterSeq = chooseStart(room.head, random);
    const feed = client.subscribe(roomPositions, { roomId: room.id, ...(afterSeq === undefined ? {} : { afterSeq }) });
    const wanted = random.between(1, 30);
    await waitFor(() => feed.events.length - indexOfReady(feed) > wanted, {
      what: `${wanted} events behind RoomReady`,
    });
    feed.stop();
    assertContinuous(feed, afterSeq, answered);
  }

  /** Mostly a recent position, sometimes the whole log, sometimes live events only. */
  function chooseStart(head: number, random: Random): number | undefined {
    if (random.next() < 0.25) return undefined;
    return head - Math.floor(head * random.next() ** 6);
  }

  function assertContinuous(
    feed: Feed<RoomPositionsSubscription>,
    afterSeq: number | undefined,
    answered: number,
  ): void {
    const events = positionsOf(feed);
    const ready = indexOfReady(feed);
    const entries = events.filter(({ __typename }) => __typename === 'MessageAdded').map(({ seq }) => seq);
    // Without afterSeq, RoomReady has the start, unless entries arrived before it.
    const start = afterSeq ?? (ready === 0 ? events[ready]?.seq : (entries[0] as number) - 1);

    expect(start, 'what was answered before is not live').toBeGreaterThanOrEqual(afterSeq ?? answered);
    expect(entries).toEqual(countTo(entries.length).map((place) => (start as number) + place));
    expect(events.filter(({ __typename }) => __typename !== 'MessageAdded').length, 'nothing else than RoomReady').toBe(
      1,
    );
    expect(events[ready]?.seq, 'stands where the replay ended').toBe(events[ready - 1]?.seq ?? start);
  }
});

const positionsOf = ({ events }: Feed<RoomPositionsSubscription>): Position[] =>
  events.map(({ roomEvents }) => roomEvents);

/** The index of RoomReady; infinite until it arrives. */
function indexOfReady({ events }: Feed<RoomPositionsSubscription>): number {
  const index = events.findIndex(({ roomEvents }) => roomEvents.__typename === 'RoomReady');
  return index === -1 ? Number.POSITIVE_INFINITY : index;
}

/** Sends to each room in turn and from each client in turn, at a fixed rate as long as answers keep up. */
function startLoad(clients: readonly TestClient[], rooms: readonly BusyRoom[]) {
  const sending: Promise<void>[] = [];
  const startedAt = performance.now();
  let unanswered = 0;
  let fail: (error: unknown) => void = () => undefined;
  const failed = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  const send = async (number: number) => {
    const room = rooms[number % rooms.length] as BusyRoom;
    const client = clients[(number >> 1) % clients.length] as TestClient;
    unanswered += 1;
    const { message } = await client.send(room.id, `message ${number}`);
    unanswered -= 1;
    room.head = Math.max(room.head, message.seq);
  };
  const timer = setInterval(() => {
    const due = ((performance.now() - startedAt) * messagesPerSecond) / 1_000;
    while (sending.length < due && unanswered < maxUnanswered) {
      const answer = send(sending.length);
      answer.catch(fail);
      sending.push(answer);
    }
  }, 5);
  return {
    /** Rejects when a send fails. */
    failed,
    /** Resolves once every send is answered; rejects when one failed. */
    stop: async () => {
      clearInterval(timer);
      await Promise.all(sending);
    },
  };
}
