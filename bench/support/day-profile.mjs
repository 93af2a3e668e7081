/**
 * The day: who is there, in which rooms, and what happens how often. Both systems get the same one, because it is made from
 * a fixed seed.
 *
 * R is the number of messages a second. All else follows it, because people who write more also read and look more:
 * - typing R/2: every other message is announced, and each announcement is two signals, a start and a stop
 * - read marks R: of those who see a message, one marks it a second later
 * - room lists R/10 and rooms opened R/20: apps that come to the front load their list, and every other opens a room
 *
 * @typedef {object} Profile
 * @property {string} name
 * @property {number} people
 * @property {{ size: number, count: number }[]} rooms
 * @property {number} history messages in each room at the beginning
 * @property {number} secondDevices the share of people with a second device, which watches other rooms of theirs if they have any
 * @property {(size: number) => number} weight how often somebody writes in a room of that size
 * @property {{ typing: number, lists: number, opens: number, pagesBack: number, edits: number, reconnects: number }} perMessage
 */

/** Each device watches this many rooms, its open one and the one before, and every other device watches the inbox. */
const watchedRooms = 2;
const usual = { typing: 0.25, lists: 0.1, opens: 0.05 };

/**
 * A club: nearly everybody has one room of a size that one reads along in, some have a second. 530 places for 400 people, so
 * everybody watches all of their rooms. A room's pace does not depend on its size.
 * @type {Profile}
 */
const club = {
  name: '400 people',
  people: 400,
  rooms: [
    { size: 60, count: 5 },
    { size: 10, count: 15 },
    { size: 2, count: 40 },
  ],
  history: 100,
  secondDevices: 0,
  weight: () => 1,
  perMessage: { ...usual, pagesBack: 0, edits: 0, reconnects: 0 },
};

/** The club at a quarter of its size: what grows from here to there grows with people. @type {Profile} */
const smallClub = {
  ...club,
  name: '100 people',
  people: 100,
  rooms: [
    { size: 60, count: 1 },
    { size: 10, count: 4 },
    { size: 2, count: 10 },
  ],
};

/**
 * A platform: the larger a room, the rarer, so that each size holds about as many places as any other (Zipf's law), and
 * everybody has 2.7 rooms on average. Large rooms are livelier than small ones, but not in proportion, hence the root. Two of
 * five have a phone and a computer. One in 20 messages makes somebody page back, one in 50 is edited, and mobile networks
 * drop a connection for every 20 messages; it is back a second later.
 * @type {Profile}
 */
const platform = {
  name: '2,000 people',
  people: 2_000,
  rooms: [
    { size: 500, count: 1 },
    { size: 200, count: 4 },
    { size: 80, count: 10 },
    { size: 30, count: 27 },
    { size: 12, count: 67 },
    { size: 5, count: 160 },
    { size: 2, count: 400 },
  ],
  history: 100,
  secondDevices: 0.4,
  weight: Math.sqrt,
  perMessage: { ...usual, pagesBack: 0.05, edits: 0.02, reconnects: 0.05 },
};

export const profiles = { smallClub, club, platform };

/**
 * @typedef {{ id: string, memberIds: number[], isDirect: boolean }} DayRoom
 * @typedef {{ userId: number, roomIndexes: number[], hasInbox: boolean }} DayDevice
 * @typedef {object} Day
 * @property {Profile} profile
 * @property {DayRoom[]} rooms
 * @property {number[]} weights how often somebody writes in each room
 * @property {DayDevice[]} devices
 * @property {number[]} userIds
 */

const firstUser = 1_000;

/** @param {Profile} profile @returns {Day} */
export function planDay(profile) {
  const random = createRandom(7);
  const userIds = Array.from({ length: profile.people }, (_, index) => firstUser + index);
  const rooms = seatPeople(profile, userIds, random);
  /** @type {Map<number, number[]>} */
  const roomsOf = new Map(userIds.map((userId) => [userId, []]));
  for (const [index, { memberIds }] of rooms.entries()) {
    for (const userId of memberIds) roomsOf.get(userId)?.push(index);
  }
  /** @type {DayDevice[]} */
  const devices = [];
  for (const [userId, indexes] of roomsOf) {
    const count = random() < profile.secondDevices ? 2 : 1;
    const own = shuffle(indexes, random);
    for (let device = 0; device < count; device += 1) {
      const roomIndexes = [...own.slice(device * watchedRooms), ...own].slice(0, Math.min(watchedRooms, own.length));
      devices.push({ userId, roomIndexes: [...new Set(roomIndexes)], hasInbox: devices.length % 2 === 0 });
    }
  }
  return { profile, rooms, weights: rooms.map(({ memberIds }) => profile.weight(memberIds.length)), devices, userIds };
}

/**
 * Gives the places of all rooms, the largest first, to the people in turn, in a new order each time round: everybody has a
 * room before anybody has two.
 * @param {Profile} profile
 * @param {number[]} userIds
 * @param {() => number} random
 * @returns {DayRoom[]}
 */
function seatPeople({ rooms, people }, userIds, random) {
  /** @type {number[]} */
  let queue = [];
  const pairs = new Set();
  const seat = (/** @type {number} */ size) => {
    /** @type {Set<number>} */
    const members = new Set();
    while (members.size < Math.min(size, people)) {
      if (queue.length === 0) queue = shuffle(userIds, random);
      const next = queue.findIndex((userId) => !members.has(userId));
      if (next === -1) queue.push(...shuffle(userIds, random));
      else members.add(/** @type {number} */ (queue.splice(next, 1)[0]));
    }
    return [...members].sort((a, b) => a - b);
  };
  return rooms.flatMap(({ size, count }) =>
    Array.from({ length: count }, (_, index) => {
      let memberIds = seat(size);
      // There is one DIRECT room for each pair.
      while (size === 2 && pairs.has(memberIds.join())) memberIds = seat(size);
      pairs.add(memberIds.join());
      return { id: uuidOf(size, index), memberIds, isDirect: size === 2 };
    }),
  );
}

/** @param {number} size @param {number} index */
const uuidOf = (size, index) =>
  `00000000-0000-4000-8${String(size).padStart(3, '0')}-${String(index).padStart(12, '0')}`;

/** A sequence of numbers from 0 to 1, the same for the same seed (mulberry32). @param {number} seed */
export function createRandom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @template T @param {readonly T[]} items @param {() => number} random @returns {T[]} */
function shuffle(items, random) {
  const shuffled = [...items];
  for (let last = shuffled.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [shuffled[last], shuffled[other]] = [/** @type {T} */ (shuffled[other]), /** @type {T} */ (shuffled[last])];
  }
  return shuffled;
}
