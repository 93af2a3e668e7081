import { randomInt } from 'node:crypto';
import { headers, type MsgHdrs } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Backend } from '../support/backend.js';
import { BookingSystem, bookingStream } from '../support/booking-stream.js';
import { startDeployedNats } from '../support/nats.js';
import { type Random, useRandom } from '../support/random.js';
import { describeWithNats } from '../support/requirements.js';
import { countTo } from '../support/room-log.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

interface BookingEvent {
  readonly what: 'created' | 'updated' | 'cancelled';
  readonly bookingId: number;
  readonly version: number;
  readonly name?: string;
  readonly members: readonly { readonly userId: number; readonly userName: string }[];
}

interface Notice {
  readonly code: string;
  readonly userIds: readonly number[];
}

/** The state of a booking's room. */
interface RoomState {
  readonly name: string | null;
  readonly members: readonly number[];
  readonly cancelled: boolean;
}

const everybody = [4, 5, 6, 7, 8, 9];

describeWithNats('booking events', () => {
  const world = useWorld({
    instances: 2,
    nats: startDeployedNats,
    env: { BOOKING_EVENTS_STREAM: bookingStream },
  });
  let bookings: BookingSystem;
  let deadLetters: Backend;
  const setAside: { body: string; headers: MsgHdrs }[] = [];
  beforeAll(async () => {
    bookings = await BookingSystem.connect(world.nats);
    const { user, password: pass } = world.nats;
    deadLetters = await Backend.connect(world.nats, { user, pass }, { inboxPrefix: '_INBOX_FAIRWAY' });
    deadLetters.connection.subscribe('chat.dead-letter.booking', {
      callback: (_error, message) => {
        setAside.push({ body: message.string(), headers: message.headers ?? headers() });
      },
    });
  });
  afterAll(async () => {
    await Promise.all([bookings?.backend.close(), deadLetters?.close()]);
  });

  it('are consumed once their stream exists', async () => {
    const bookingId = randomInt(1, 2 ** 31);
    const isWaiting = () =>
      world.instances.every((instance) => instance.output().includes('Events cannot be consumed yet'));
    await waitFor(isWaiting, { what: 'the instances to miss the stream' });

    await bookings.createStream();
    await bookings.tell('created', bookingId, { bookingId, version: 1, members: [{ userId: 4, userName: '김철수' }] });

    await waitFor(() => readState(bookingId), { what: 'the room' });
  });

  it.each(['', 'x'.repeat(101), '\u3164', 7])('bring all members into the room, even if a name is %j', async (name) => {
    const bookingId = randomInt(1, 2 ** 31);
    const before = setAside.length;

    await bookings.tell('created', bookingId, {
      bookingId,
      version: 1,
      name,
      members: [{ userId: 4, userName: name }, { userId: 5 }],
    });

    await waitFor(() => readState(bookingId), { what: 'the room' });
    expect(await readState(bookingId)).toEqual({ name: null, members: [4, 5], cancelled: false });
    expect(setAside).toHaveLength(before);
  });

  it('lead to the same state in any order, up to three times each, with an instance killed in between', async () => {
    const random = useRandom();
    const events = [
      ...tellStory(random, 8, 'updated'),
      ...tellStory(random, 6, 'cancelled'),
      ...tellStory(random, 6, 'cancelled'),
    ];
    expect(events).toHaveLength(20);
    const deliveries = shuffle(
      events.flatMap((event) => countTo(random.between(1, 3)).map(() => event)),
      random,
    );
    const half = Math.floor(deliveries.length / 2);

    await Promise.all(deliveries.slice(0, half).map(tell));
    await waitFor(async () => (await countRooms(events)) > 0, { what: 'the first room' });
    const killed = world.instances[0]?.kill();
    await Promise.all([killed, ...deliveries.slice(half).map(tell)]);
    await waitFor(allAcknowledged, { what: 'every event to be dealt with' });

    const bookingIds = [...new Set(events.map(({ bookingId }) => bookingId))];
    for (const bookingId of bookingIds) {
      const own = events.filter((event) => event.bookingId === bookingId);
      expect(await readState(bookingId)).toEqual(inOrder(own));
      const notices = await readNotices(bookingId);
      expect(follow(notices)).toEqual(inOrder(own).members);
      expect(notices.filter(({ code }) => code === 'ROOM_CREATED')).toHaveLength(1);
      expect(notices.filter(({ code }) => code === 'BOOKING_CANCELLED')).toHaveLength(inOrder(own).cancelled ? 1 : 0);
    }

    const before = await Promise.all(bookingIds.map(readNotices));
    await Promise.all(shuffle(events, random).map(tell));
    await waitFor(allAcknowledged, { what: 'every replayed event to be dealt with' });
    expect(await Promise.all(bookingIds.map(readNotices))).toEqual(before);
  });

  it('that are invalid go to the dead letters after five tries, and delay no other event', async () => {
    const [poisonId, goodId] = [randomInt(1, 2 ** 31), randomInt(1, 2 ** 31)];
    const poisons = [
      'not JSON',
      JSON.stringify({ bookingId: poisonId }),
      JSON.stringify({ bookingId: poisonId, members: [{ userId: 'x' }], version: 1 }),
      JSON.stringify({ bookingId: poisonId, members: [] }),
    ];
    for (const poison of countTo(40).map((number) => poisons[number % poisons.length] as string)) {
      await bookings.tell('updated', poisonId, poison);
    }
    await bookings.tell('updated', goodId, { bookingId: goodId, version: 1, members: [{ userId: 4 }] });

    await waitFor(() => readState(goodId), { what: 'the room behind the poison' });
    expect(setAside.length, 'dead letters while others are tried again').toBeLessThan(40);
    await waitFor(() => setAside.length >= 40, { what: '40 dead letters' });
    await waitFor(allAcknowledged, { what: 'the end of the tries' });

    expect(setAside).toHaveLength(40);
    expect(new Set(setAside.map(({ body }) => body))).toEqual(new Set(poisons));
    const [letter] = setAside;
    expect(letter?.headers.get('Fairway-Tries')).toBe('5');
    expect(letter?.headers.get('Fairway-Subject')).toBe(`booking.${poisonId}.updated`);
    expect(letter?.headers.get('Fairway-Error')).toMatch(/^BAD_USER_INPUT: /);
    expect(world.instances.map((instance) => instance.output()).join('')).toContain('moved to the dead-letter subject');
    expect(await readState(poisonId)).toBeUndefined();
  });

  describe('in an unintended order', () => {
    it.each([
      ['cancelled without members, before it was created', ['cancel', 'create']],
      ['cancelled with members, before it was created', ['cancelled', 'create']],
      ['cancelled after it was created', ['create', 'cancel']],
      ['emptied before it was created, and then filled', ['empty', 'create', 'fill']],
    ])('%s, a booking ends in its latest state', async (_title, steps) => {
      const bookingId = randomInt(1, 2 ** 31);
      const members = [{ userId: 4, userName: '김철수' }];
      const tellings: Record<string, () => Promise<unknown>> = {
        create: () =>
          bookings.backend.ask('chat.rooms.create', { type: 'BOOKING', bookingId, memberIds: [4], version: 1 }),
        cancel: () => bookings.backend.ask('chat.rooms.cancel', { bookingId }),
        cancelled: () => bookings.tell('cancelled', bookingId, { bookingId, version: 2, members }),
        empty: () => bookings.backend.ask('chat.rooms.syncMembers', { bookingId, version: 2, members: [] }),
        fill: () => bookings.backend.ask('chat.rooms.syncMembers', { bookingId, version: 3, members }),
      };
      for (const step of steps) {
        await tellings[step]?.();
        await waitFor(allAcknowledged, { what: 'the event' });
      }

      const cancelled = steps.some((step) => step.startsWith('cancel'));
      expect(await readState(bookingId)).toEqual({ name: null, members: [4], cancelled });
      const codes = (await readNotices(bookingId)).map(({ code }) => code);
      expect(codes).toEqual(cancelled ? ['ROOM_CREATED', 'BOOKING_CANCELLED'] : ['ROOM_CREATED']);
    });
  });

  const tell = ({ what, ...event }: BookingEvent) => bookings.tell(what, event.bookingId, event);

  /** Nothing waits to be delivered or acknowledged. */
  async function allAcknowledged(): Promise<boolean> {
    const kinds = ['created', 'updated', 'cancelled'].map((what) => bookings.areAcknowledged(what));
    return (await Promise.all(kinds)).every((isSo) => isSo);
  }

  async function countRooms(events: readonly BookingEvent[]): Promise<number> {
    const ids = events.map(({ bookingId }) => bookingId);
    return (await world.database.query('SELECT FROM chat_rooms WHERE booking_id = ANY($1) AND seq > 0', [ids])).length;
  }

  async function readState(bookingId: number): Promise<RoomState | undefined> {
    const [room] = await world.database.query<RoomState>(
      `SELECT r.name, r.cancelled_at IS NOT NULL AS cancelled,
              array(SELECT m.user_id FROM chat_room_members m
                    WHERE m.room_id = r.id AND m.left_at IS NULL ORDER BY m.user_id) AS members
       FROM chat_rooms r WHERE r.booking_id = $1`,
      [bookingId],
    );
    return room;
  }

  async function readNotices(bookingId: number): Promise<Notice[]> {
    const rows = await world.database.query<{ system: Notice }>(
      `SELECT m.system FROM chat_messages m JOIN chat_rooms r ON r.id = m.room_id
       WHERE r.booking_id = $1 ORDER BY m.seq`,
      [bookingId],
    );
    return rows.map(({ system }) => system);
  }
});

/** A booking from its creation to its last change, members coming and going. */
function tellStory(random: Random, length: number, ending: BookingEvent['what']): BookingEvent[] {
  const bookingId = random.between(1, 2 ** 31 - 1);
  return countTo(length).map((version) => ({
    what: version === 1 ? 'created' : version === length ? ending : 'updated',
    bookingId,
    version,
    ...(version === 1 || random.next() < 0.3 ? { name: `토요일 예약 ${version}` } : {}),
    members: [random.pick(everybody), ...everybody.filter(() => random.next() < 0.5)]
      .filter((userId, at, all) => all.indexOf(userId) === at)
      .map((userId) => ({ userId, userName: `user ${userId}` })),
  }));
}

/** The state after all events in the intended order. */
function inOrder(events: readonly BookingEvent[]): RoomState {
  return {
    name: events.findLast(({ name }) => name !== undefined)?.name ?? null,
    members: (events.at(-1)?.members ?? []).map(({ userId }) => userId).sort((a, b) => a - b),
    cancelled: events.some(({ what }) => what === 'cancelled'),
  };
}

/** The room's members by its SYSTEM messages. No message adds a present member or removes an absent one. */
function follow(notices: readonly Notice[]): number[] {
  const members = new Set<number>();
  for (const { code, userIds } of notices) {
    for (const userId of userIds) {
      expect(members.has(userId), `${code} of ${userId}`).toBe(code === 'MEMBER_REMOVED');
      if (code === 'MEMBER_REMOVED') members.delete(userId);
      else members.add(userId);
    }
  }
  return [...members].sort((a, b) => a - b);
}

function shuffle<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => ({ item, place: random.next() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}
