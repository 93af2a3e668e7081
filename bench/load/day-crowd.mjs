import { randomUUID } from 'node:crypto';
import { createRandom } from '../support/day-profile.mjs';
import { mapLimited } from './client.mjs';
import { Device } from './day-device.mjs';
import { ask } from './day-http.mjs';

/**
 * @typedef {import('./day-device.mjs').World} World
 * @typedef {import('./day-dialects.mjs').HttpCall} HttpCall
 * @typedef {import('../support/day-profile.mjs').Day} Day
 */

export const text =
  '내일 아침 일곱 시에 정류장에서 만나요. 비가 오면 여덟 시로 미루고, 늦으시는 분은 미리 알려 주세요. 점심은 근처에서.';
const connectAtOnce = 50;
/** Edits concern one of so many newest messages. */
const recent = 200;

/** The people of the day with their devices, and what they do. Every action is told when it was due. */
export class Crowd {
  /** By number. @type {{ id: string, room: number, device: Device }[]} */
  messages = [];
  lastNumber = 0;
  /** HTTP requests without an answer. */
  asking = 0;
  /** Messages that a returning device found in the pages that it loaded again. @type {Map<Device, Set<number>>} */
  caughtUp = new Map();
  random = createRandom(1);
  #lastOp = 0;
  #httpPort;
  /** By room. @type {Device[]} */
  #writers = [];
  /** @type {Set<string>} */
  #typing = new Set();
  /** Of the newest page of each room. @type {Map<number, string | null>} */
  #cursors = new Map();
  /** Cumulated weights of the rooms that somebody watches. @type {{ room: number, upTo: number }[]} */
  #busy = [];

  /** @param {World} world @param {number} httpPort @param {Day} day @param {Record<number, string>} tokens by user */
  constructor(world, httpPort, day, tokens) {
    this.world = world;
    this.day = day;
    this.#httpPort = httpPort;
    this.devices = day.devices.map((place) => new Device(world, { ...place, token: tokens[place.userId] ?? '' }));
    /** The devices that watch each room. @type {Device[][]} */
    this.watchers = day.rooms.map(() => []);
    for (const device of this.devices) for (const room of device.watches.keys()) this.watchers[room]?.push(device);
    let upTo = 0;
    for (const [room, weight] of day.weights.entries()) {
      if (this.watchers[room]?.length === 0) continue;
      upTo += weight;
      this.#busy.push({ room, upTo });
    }
  }

  async connect() {
    await mapLimited(this.devices, connectAtOnce, async (device) => {
      await device.connect();
      await device.watchRooms();
    });
  }

  /** @template T @param {readonly T[]} items @returns {T} */
  pick(items) {
    return /** @type {T} */ (items[Math.floor(this.random() * items.length)]);
  }

  pickRoom() {
    const at = this.random() * (this.#busy.at(-1)?.upTo ?? 0);
    return this.#busy.find(({ upTo }) => at < upTo)?.room ?? 0;
  }

  /**
   * Opens a device for each room that watches nothing and never drops: it writes while everybody else is away.
   * @param {Record<number, string>} tokens by user
   */
  async openWriters(tokens) {
    this.#writers = this.day.rooms.map(({ memberIds: [userId = 0] }) => {
      return new Device(this.world, { userId, token: tokens[userId] ?? '', roomIndexes: [], hasInbox: false });
    });
    await mapLimited(this.#writers, connectAtOnce, (writer) => writer.connect());
  }

  /** @param {number} room */
  #pickConnected(room) {
    const watchers = this.watchers[room] ?? [];
    const device = this.pick(watchers);
    return device.isConnected ? device : watchers.find(({ isConnected }) => isConnected);
  }

  #nextOp() {
    this.#lastOp += 1;
    return `m${this.#lastOp}`;
  }

  /** @param {number} due @param {number} room @param {(isGood: boolean) => void} [onDone] */
  send(due, room, onDone) {
    const device = this.#writers[room] ?? this.#pickConnected(room);
    if (device === undefined) return;
    const { record, dialect } = this.world;
    this.lastNumber += 1;
    const number = this.lastNumber;
    const id = randomUUID();
    this.messages[number] = { id, room, device };
    record.dueOf[number] = due;
    const op = this.#nextOp();
    record.await(op, {
      due,
      by: device,
      kind: 'ack',
      onDone: (isGood) => {
        if (isGood) record.acknowledged.add(number);
        onDone?.(isGood);
      },
    });
    dialect.send(device, op, room, id, `${number} ${text}`);
  }

  /** Somebody who watches the room marks the newest message there. @param {number} due @param {number} room */
  markRead(due, room) {
    const device = this.#pickConnected(room);
    const newest = device?.watches.get(room)?.got.at(-1);
    if (device === undefined || newest === undefined) return;
    const op = this.#nextOp();
    this.world.record.await(op, { due, by: device, kind: 'read' });
    this.world.dialect.markRead(device, op, room, this.messages[newest]?.id ?? '');
  }

  /** Returns how to stop. @param {number} due */
  startTyping(due) {
    const room = this.pickRoom();
    const device = this.#pickConnected(room);
    const key = `${room}:${device?.userId}`;
    if (device === undefined || this.#typing.has(key)) return undefined;
    const { record, dialect } = this.world;
    this.#typing.add(key);
    record.beginTyping(room, device.userId, due);
    const signal = (/** @type {number} */ at, /** @type {boolean} */ isTyping) => {
      const op = this.#nextOp();
      record.await(op, { due: at, by: device });
      dialect.setTyping(device, op, room, isTyping);
    };
    signal(due, true);
    return (/** @type {number} */ at) => {
      this.#typing.delete(key);
      if (device.isConnected) signal(at, false);
    };
  }

  /** @param {number} due */
  list(due) {
    this.#query('list', due, this.pick(this.devices), [this.world.dialect.list()]);
  }

  /** @param {number} due */
  open(due) {
    const room = this.pickRoom();
    const device = this.pick(this.watchers[room] ?? []);
    this.#query('open', due, device, this.world.dialect.open(device.roomIdOf(room)));
  }

  /** @param {number} due */
  pageBack(due) {
    const room = this.pickRoom();
    const device = this.pick(this.watchers[room] ?? []);
    const cursor = this.#cursors.get(room);
    if (cursor != null) this.#query('open', due, device, [this.world.dialect.pageBack(device.roomIdOf(room), cursor)]);
    else void this.loadPage(device, room).catch(() => undefined);
  }

  /** The author changes one of the newest messages. @param {number} due */
  edit(due) {
    const number = this.lastNumber - Math.floor(this.random() * Math.min(recent, this.lastNumber));
    const message = this.messages[number];
    const { record, dialect } = this.world;
    if (!dialect.canEdit || message?.device.isConnected !== true || !record.acknowledged.has(number)) return;
    const op = this.#nextOp();
    record.await(op, { due, by: message.device });
    dialect.edit(message.device, op, message.id, `${number} ${text} (고침)`);
  }

  /** A network drops a connection. Returns how the device comes back. */
  drop() {
    const device = this.pick(this.devices);
    if (!device.isConnected) return undefined;
    device.drop();
    this.world.record.abandon(device);
    return () => void this.comeBack(device).catch((error) => this.world.record.refused(String(error)));
  }

  /** Connects again and gets what was missed: from its position, or by loading the newest page of each room. @param {Device} device */
  async comeBack(device) {
    await device.connect();
    await device.watchRooms();
    if (this.world.dialect.resumes) return;
    const found = this.caughtUp.get(device) ?? new Set();
    this.caughtUp.set(device, found);
    for (const room of device.watches.keys()) {
      const { contents } = await this.loadPage(device, room);
      for (const content of contents) found.add(Number.parseInt(content, 10));
    }
  }

  /** The newest page of a room. @param {Device} device @param {number} room */
  async loadPage(device, room) {
    const { dialect } = this.world;
    const calls = dialect.open(device.roomIdOf(room)).slice(-1);
    const page = dialect.readPage(await Promise.all(calls.map((call) => this.ask(device, call))));
    this.#cursors.set(room, page.cursor);
    return page;
  }

  /** @param {Device} device @param {HttpCall} call */
  ask(device, call) {
    return ask(this.#httpPort, device.token, call);
  }

  /** @param {'list' | 'open'} kind @param {number} due @param {Device} device @param {HttpCall[]} calls */
  #query(kind, due, device, calls) {
    const { record } = this.world;
    this.asking += 1;
    Promise.all(calls.map((call) => this.ask(device, call)))
      .then(
        () => record.done(kind, due),
        (error) => record.refused(String(error)),
      )
      .finally(() => {
        this.asking -= 1;
      });
  }
}
