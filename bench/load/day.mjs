import { setTimeout as delay } from 'node:timers/promises';
import { mapValues } from '../support/statistics.mjs';
import { serveCalls } from '../support/worker.mjs';
import { mapLimited } from './client.mjs';
import { Crowd } from './day-crowd.mjs';
import { dialects } from './day-dialects.mjs';
import { DayRecord, percentiles } from './day-record.mjs';
import { runSchedule } from './day-schedule.mjs';

/** The load of the day: all people in one process. See `support/day-profile.mjs` for what they do. */

/** @typedef {{ dialect: keyof typeof dialects, port: number, httpPort: number }} DayTarget */

/** A step ends when nothing is unanswered and nothing has arrived for `quietMs`, or after `drainMs`. */
const quietMs = 1_000;
const drainMs = 40_000;
const checkMs = 30_000;
const missedAtOnce = 64;
const checkedAtOnce = 20;
/** The storm begins so long after the load, and a device tries again after `retryMs` for `stormMs`. */
const stormAfterMs = 1_000;
const retryMs = 1_000;
const stormMs = 60_000;

const record = new DayRecord();
/** @type {Crowd} */
let crowd;
let firstOfStep = 1;

function beginStep() {
  record.begin();
  firstOfStep = crowd.lastNumber + 1;
  crowd.caughtUp.clear();
}

/** Resolves once all is answered and nothing more arrives. */
async function drain() {
  const deadline = performance.now() + drainMs;
  let seen = -1;
  for (let quietSince = performance.now(); performance.now() < deadline; await delay(50)) {
    const isQuiet = record.receipts === seen && record.waiting.size === 0 && crowd.asking === 0;
    seen = record.receipts;
    if (!isQuiet) quietSince = performance.now();
    else if (performance.now() - quietSince >= quietMs) return;
  }
}

/** What the load saw since the step began. */
function summarize() {
  const times = mapValues(record.times, percentiles);
  const { receipts, messageBytes, bytes, marks, refusals, told, closes, waiting, reasons } = record;
  return {
    ...{ times, receipts, messageBytes, bytes, marks, refusals, told, closes },
    messages: crowd.lastNumber - firstOfStep + 1,
    unanswered: waiting.size,
    lateness: percentiles(record.lateness),
    reasons: [...reasons],
  };
}

/**
 * Compares what the devices showed since the step began with the database.
 * @param {Record<string, number[]>} stored the numbers of the messages of each room, in the order of its history
 */
function compare(stored) {
  const places = new Map(Object.values(stored).flatMap((numbers) => numbers.map((number, place) => [number, place])));
  const notStored = new Set();
  const wrong = { lost: 0, repeated: 0, misordered: 0 };
  for (const device of crowd.devices) {
    for (const [room, { got }] of device.watches) {
      const numbers = got.filter((number) => number >= firstOfStep);
      const seen = new Set(numbers);
      wrong.repeated += numbers.length - seen.size;
      let last = -1;
      for (const number of seen) {
        const place = places.get(number);
        if (place === undefined) notStored.add(number);
        else if (place < last) wrong.misordered += 1;
        last = Math.max(last, place ?? -1);
      }
      const due = stored[device.roomIdOf(room)] ?? [];
      const found = crowd.caughtUp.get(device);
      wrong.lost += due.filter((number) => !seen.has(number) && found?.has(number) !== true).length;
    }
  }
  const sent = Array.from({ length: crowd.lastNumber - firstOfStep + 1 }, (_, index) => firstOfStep + index);
  const lostAfterAck = sent.filter((number) => record.acknowledged.has(number) && !places.has(number)).length;
  return { ...wrong, shownNotStored: notStored.size, acknowledgedNotStored: lostAfterAck };
}

/** Sends one message to each room that somebody watches, and requires that each of its devices gets it once. */
async function checkDelivery() {
  beginStep();
  const rooms = crowd.watchers.flatMap((watchers, room) => (watchers.length === 0 ? [] : [room]));
  const deadline = performance.now() + checkMs;
  /** The number of the message that each room has accepted. @type {Map<number, number>} */
  const accepted = new Map();
  await mapLimited(rooms, checkedAtOnce, async (room) => {
    // A process that has just started may be too slow for all rooms at once, and refuses some.
    while (!accepted.has(room) && performance.now() < deadline) {
      let number = Number.NaN;
      const isGood = await new Promise((resolve) => {
        crowd.send(performance.now(), room, resolve);
        number = crowd.lastNumber;
      });
      if (isGood) accepted.set(room, number);
      else await delay(retryMs);
    }
  });
  const isMissing = () =>
    rooms.some((room) =>
      crowd.watchers[room]?.some(({ watches }) => watches.get(room)?.got.at(-1) !== accepted.get(room)),
    );
  while (isMissing()) {
    if (performance.now() > deadline)
      throw new Error(`Not every device gets the messages of its rooms: ${JSON.stringify(summarize())}`);
    await delay(20);
  }
}

/** @param {number} userId */
function deviceOf(userId) {
  const device = crowd.devices.find((other) => other.userId === userId);
  if (device === undefined) throw new Error(`${userId} has no device`);
  return device;
}

/** @param {import('./day-device.mjs').Device} device */
function firstRoomOf(device) {
  const [room] = device.watches.keys();
  if (room === undefined) throw new Error(`${device.userId} watches no room`);
  return room;
}

/**
 * Returns again and again until all rooms are live. Resolves with the time since the storm began, in ms; undefined if it has
 * not worked for `stormMs`.
 * @param {import('./day-device.mjs').Device} device
 * @param {number} startedAt
 */
async function persist(device, startedAt) {
  while (performance.now() - startedAt < stormMs) {
    try {
      await crowd.comeBack(device);
      return performance.now() - startedAt;
    } catch (error) {
      record.refused(String(error));
      device.drop();
      await delay(retryMs);
    }
  }
  return undefined;
}

serveCalls({
  /** @param {DayTarget} target @param {import('../support/day-profile.mjs').Day} day @param {Record<number, string>} tokens by user */
  prepare({ dialect, port, httpPort }, day, tokens) {
    const roomIds = day.rooms.map(({ id }) => id);
    const roomNumbers = new Map(roomIds.map((id, room) => [id, room]));
    const roomSizes = day.rooms.map(({ memberIds }) => memberIds.length);
    const world = { dialect: dialects[dialect], port, roomIds, roomNumbers, roomSizes, record };
    crowd = new Crowd(world, httpPort, day, tokens);
  },

  connect: () => crowd.connect(),

  /** What the list of a user says, and the newest page of their first room. @param {number} userId */
  async read(userId) {
    const device = deviceOf(userId);
    const list = crowd.world.dialect.readList(await crowd.ask(device, crowd.world.dialect.list()));
    const room = firstRoomOf(device);
    const { contents } = await crowd.loadPage(device, room);
    return { list, roomId: device.roomIdOf(room), contents };
  },

  check: checkDelivery,

  /** Runs the day at so many messages a second. @param {number} perSecond @param {number} ms */
  async step(perSecond, ms) {
    beginStep();
    await runSchedule(crowd, perSecond, ms);
    await drain();
    return summarize();
  },

  /**
   * Runs the day at more than the system stands, and then at a lower rate without a pause between the two.
   * @param {{ perSecond: number, ms: number }} overload @param {{ perSecond: number, ms: number }} calm
   * @param {number} recoveryMs after this time of the calm, messages count as `recovered`
   */
  async overload(overload, calm, recoveryMs) {
    beginStep();
    await runSchedule(crowd, overload.perSecond, overload.ms);
    record.recoveredFrom = performance.now() + recoveryMs;
    await runSchedule(crowd, calm.perSecond, calm.ms);
    await drain();
    return summarize();
  },

  /** Everybody vanishes, and so many messages are written in each room meanwhile. @param {number} perRoom @param {Record<number, string>} tokens */
  async miss(perRoom, tokens) {
    await crowd.openWriters(tokens);
    beginStep();
    for (const device of crowd.devices) device.drop();
    const rooms = Array.from({ length: perRoom }, () => crowd.watchers.keys()).flatMap((keys) => [...keys]);
    await mapLimited(rooms, missedAtOnce, (room) => {
      return new Promise((resolve) => crowd.send(performance.now(), room, () => resolve(undefined)));
    });
  },

  /** Everybody returns at once, in the middle of the day. @param {number} perSecond @param {number} ms */
  async storm(perSecond, ms) {
    const running = runSchedule(crowd, perSecond, ms);
    await delay(stormAfterMs);
    const startedAt = performance.now();
    const liveAfter = await Promise.all(crowd.devices.map((device) => persist(device, startedAt)));
    await running;
    await drain();
    const live = liveAfter.filter((after) => after !== undefined);
    return {
      ...summarize(),
      live: percentiles(live),
      allLiveMs: Math.max(...live),
      neverLive: liveAfter.length - live.length,
    };
  },

  /** One person opens the app: the list, a room with its members, messages and events, and a first message. @param {number} userId */
  async visit(userId) {
    const device = deviceOf(userId);
    const room = firstRoomOf(device);
    const { dialect } = crowd.world;
    const startedAt = performance.now();
    await crowd.ask(device, dialect.list());
    const listedAt = performance.now();
    const live = device.connect().then(() => device.watchRooms());
    await Promise.all([live, ...dialect.open(device.roomIdOf(room)).map((call) => crowd.ask(device, call))]);
    const openedAt = performance.now();
    const number = crowd.lastNumber + 1;
    crowd.send(openedAt, room);
    while (device.watches.get(room)?.got.at(-1) !== number) await new Promise((resolve) => setImmediate(resolve));
    return { list: listedAt - startedAt, room: openedAt - listedAt, message: performance.now() - openedAt };
  },

  compare,
  firstNumber: () => firstOfStep,
});
