import { WireSocket } from '../support/wire-socket.mjs';

/**
 * @typedef {import('./day-dialects.mjs').DayDialect} DayDialect
 * @typedef {{ userId: number, token: string, roomIndexes: number[], hasInbox: boolean }} Place
 *
 * Everything that the devices of a load process share.
 * @typedef {object} World
 * @property {DayDialect} dialect
 * @property {number} port
 * @property {string[]} roomIds
 * @property {Map<string, number>} roomNumbers
 * @property {number[]} roomSizes the numbers of members
 * @property {import('./day-record.mjs').DayRecord} record
 *
 * A room on a device.
 * @typedef {object} Watch
 * @property {number[]} got the numbers of the messages, in the order of arrival
 * @property {number | undefined} seq
 * @property {string | undefined} epoch
 * @property {boolean} isLive
 * @property {Set<number>} typists
 */

/** How long a device waits for its connection or its subscriptions, in ms. */
const patienceMs = 60_000;

/** An app on a phone or computer: one socket, the rooms that it watches, and what arrived. */
export class Device {
  isInboxOpen = false;
  /** Operations of Socket.IO by the number of their acknowledgement. @type {Map<string, string>} */
  numbers = new Map();
  /** @type {Map<number, Watch>} */
  watches = new Map();
  /** @type {WireSocket | undefined} */
  #socket;
  #isGreeted = false;
  #lastNumber = 0;
  #world;
  #place;
  /** @type {() => void} */
  greeted = () => undefined;
  #onAllLive = () => {};
  /** The messages that the room list has shown. @type {Set<number>} */
  #listed = new Set();

  /** @param {World} world @param {Place} place */
  constructor(world, place) {
    this.#world = world;
    this.#place = place;
    for (const room of place.roomIndexes) {
      this.watches.set(room, { got: [], seq: undefined, epoch: undefined, isLive: false, typists: new Set() });
    }
  }

  get userId() {
    return this.#place.userId;
  }
  get token() {
    return this.#place.token;
  }
  get hasInbox() {
    return this.#place.hasInbox;
  }
  /** Whether the server has accepted its token on the open socket. */
  get isConnected() {
    return this.#isGreeted;
  }

  /** Resolves once the server has accepted the token. */
  async connect() {
    const { port, dialect, record } = this.#world;
    const socket = new WireSocket({ port, path: dialect.path, protocol: dialect.protocol });
    await socket.ready;
    await withPatience('No greeting', (resolve, reject) => {
      this.greeted = () => {
        this.#isGreeted = true;
        resolve();
      };
      socket.onClose = (reason) => {
        this.#forget();
        record.closed(reason);
        reject(new Error(reason));
      };
      socket.onText = (bytes, start, end) => {
        record.count(end - start);
        dialect.read(this, bytes, start, end);
      };
      this.#socket = socket;
      dialect.greet(this, this.#place.token);
    });
  }

  /** Resolves once every room is live. */
  async watchRooms() {
    await withPatience('Not all rooms are live', (resolve, reject) => {
      this.#onAllLive = resolve;
      const socket = this.#socket;
      if (socket === undefined) return reject(new Error('The socket closed'));
      const { onClose } = socket;
      socket.onClose = (reason) => {
        onClose(reason);
        reject(new Error(reason));
      };
      for (const room of this.watches.keys()) this.#world.dialect.watch(this, room);
      if (this.watches.size === 0) resolve();
    });
  }

  /** Ends the connection without a word, as a network does. */
  drop() {
    this.#socket?.close();
    this.#forget();
  }

  #forget() {
    this.#socket = undefined;
    this.#isGreeted = false;
    this.isInboxOpen = false;
    for (const watch of this.watches.values()) {
      watch.isLive = false;
      watch.typists.clear();
    }
  }

  /** @param {string} text */
  emit(text) {
    this.#socket?.send(text);
  }

  nextNumber() {
    this.#lastNumber += 1;
    return this.#lastNumber;
  }

  /** @param {number} room */
  roomIdOf(room) {
    return /** @type {string} */ (this.#world.roomIds[room]);
  }

  /** @param {number} room */
  sizeOf(room) {
    return /** @type {number} */ (this.#world.roomSizes[room]);
  }

  /** @param {string} roomId */
  roomNumberOf(roomId) {
    return this.#world.roomNumbers.get(roomId) ?? -1;
  }

  /** From where a returning device wants to be told. @param {number} room */
  positionOf(room) {
    const { seq, epoch } = this.#watch(room);
    return { seq, epoch };
  }

  /** @param {number} room @param {number} number @param {number} length @param {number | undefined} seq */
  onMessage(room, number, length, seq) {
    const watch = this.#watch(room);
    watch.seq = seq;
    if (Number.isNaN(number)) return;
    watch.got.push(number);
    this.#world.record.received(number, length, watch.isLive);
  }

  /** @param {number} room @param {number} committedAt in ms since 1970 */
  onCommitted(room, committedAt) {
    if (this.#watch(room).isLive) this.#world.record.delivered(committedAt);
  }

  /** @param {number} room @param {number} seq */
  onEdited(room, seq) {
    this.#watch(room).seq = seq;
  }

  onMark() {
    this.#world.record.marks += 1;
  }

  /** @param {number} room @param {{ seq: number | undefined, epoch: string | undefined }} position */
  onLive(room, { seq, epoch }) {
    const watch = this.#watch(room);
    Object.assign(watch, { seq, epoch, isLive: true });
    if ([...this.watches.values()].every(({ isLive }) => isLive)) this.#onAllLive();
  }

  /** The whole list of those who type. @param {number} room @param {number[]} userIds */
  onTypists(room, userIds) {
    const { typists } = this.#watch(room);
    for (const userId of userIds) if (!typists.has(userId)) this.#world.record.typed(room, userId);
    typists.clear();
    for (const userId of userIds) typists.add(userId);
  }

  /** @param {number} room @param {number} userId @param {boolean} isTyping */
  onTypist(room, userId, isTyping) {
    if (isTyping) this.#world.record.typed(room, userId);
  }

  /** @param {number} number */
  onInbox(number) {
    if (this.#listed.has(number)) return;
    this.#listed.add(number);
    this.#world.record.listed(number);
  }

  /** @param {string} op @param {boolean} isGood @param {string} text */
  onAnswer(op, isGood, text) {
    this.#world.record.answered(op, isGood, text);
  }

  /** A subscription ended, which none should. @param {string} text */
  onEnded(text) {
    this.#world.record.refused(`A subscription ended: ${text}`);
  }

  /** @param {number} room */
  #watch(room) {
    const watch = this.watches.get(room);
    if (watch === undefined) throw new Error(`A device got an event of room ${room}, which it does not watch`);
    return watch;
  }
}

/**
 * @param {string} what is missing if the time is up
 * @param {(resolve: () => void, reject: (error: Error) => void) => void} begin
 * @returns {Promise<void>}
 */
function withPatience(what, begin) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what} after ${patienceMs} ms`)), patienceMs);
    begin(
      () => {
        clearTimeout(timer);
        resolve();
      },
      (error) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}
