/**
 * What is timed, from when it was due until it was answered or seen; `delivery` is the time from the commit of a message to
 * its arrival, and `recovered` is `receive` of the messages that were due after an overload.
 * @typedef {'receive' | 'recovered' | 'delivery' | 'ack' | 'read' | 'typing' | 'inbox' | 'list' | 'open'} Timed
 * @typedef {{ due: number, by: object, kind?: Timed, onDone?: (isGood: boolean) => void }} Operation
 */

const frameHeaderBytes = 4;
const maxReasons = 5;

/** Counts and times what happens to a load process during a step. */
export class DayRecord {
  /** @type {Record<Timed, number[]>} */
  times = emptyTimes();
  /** Operations without an answer. @type {Map<string, Operation>} */
  waiting = new Map();
  /** When each message was due, by its number. @type {number[]} */
  dueOf = [];
  /** The messages that the system answered well. @type {Set<number>} */
  acknowledged = new Set();
  /** When the typing of a user in a room was due. @type {Map<string, number>} */
  #typingDue = new Map();
  receipts = 0;
  messageBytes = 0;
  bytes = 0;
  marks = 0;
  refusals = 0;
  /** The refusals that say why and for how long to wait. */
  told = 0;
  closes = 0;
  /** Messages that are due from this time on have `recovered`. */
  recoveredFrom = Number.POSITIVE_INFINITY;
  /** How late the load itself began an operation, in ms. @type {number[]} */
  lateness = [];
  /** @type {Map<string, number>} */
  reasons = new Map();

  /** Forgets the counts, not the messages. */
  begin() {
    this.times = emptyTimes();
    this.lateness = [];
    this.waiting.clear();
    this.receipts = 0;
    this.messageBytes = 0;
    this.bytes = 0;
    this.marks = 0;
    this.refusals = 0;
    this.told = 0;
    this.closes = 0;
    this.recoveredFrom = Number.POSITIVE_INFINITY;
    this.reasons.clear();
  }

  /** @param {number} length */
  count(length) {
    this.bytes += length + frameHeaderBytes;
  }

  /** @param {number} number @param {number} length @param {boolean} isLive false for what a returning device has missed */
  received(number, length, isLive) {
    this.receipts += 1;
    this.messageBytes += length + frameHeaderBytes;
    if (!isLive) return;
    const due = this.dueOf[number];
    this.#time('receive', due);
    if (due !== undefined && due >= this.recoveredFrom) this.#time('recovered', due);
  }

  /** @param {number} committedAt in ms since 1970, by the clock of this machine */
  delivered(committedAt) {
    this.times.delivery.push(Date.now() - committedAt);
  }

  /** @param {number} number */
  listed(number) {
    this.#time('inbox', this.dueOf[number]);
  }

  /** @param {number} room @param {number} userId @param {number} due */
  beginTyping(room, userId, due) {
    this.#typingDue.set(`${room}:${userId}`, due);
  }

  /** @param {number} room @param {number} userId */
  typed(room, userId) {
    this.#time('typing', this.#typingDue.get(`${room}:${userId}`));
  }

  /** @param {string} op @param {Operation} operation */
  await(op, operation) {
    this.waiting.set(op, operation);
  }

  /** Expects no answers any more for a device that has lost its connection. @param {object} device */
  abandon(device) {
    for (const [op, { by }] of this.waiting) if (by === device) this.waiting.delete(op);
  }

  /** @param {Timed} kind @param {number} due */
  done(kind, due) {
    this.#time(kind, due);
  }

  /** @param {string} op @param {boolean} isGood @param {string} text */
  answered(op, isGood, text) {
    const operation = this.waiting.get(op);
    this.waiting.delete(op);
    if (operation === undefined) return isGood ? undefined : this.refused(text);
    operation.onDone?.(isGood);
    if (isGood) this.#time(operation.kind, operation.due);
    else this.refused(text);
  }

  /** @param {string} text */
  refused(text) {
    this.refusals += 1;
    if (text.includes('"RATE_LIMITED"') && text.includes('"retryAfterMs"')) this.told += 1;
    this.#note(text.slice(0, 300));
  }

  /** @param {string} reason */
  closed(reason) {
    this.closes += 1;
    this.#note(reason);
  }

  /** @param {string} reason */
  #note(reason) {
    // Ids and numbers aside, there are few different ones.
    const kind = reason.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '…').replaceAll(/\d+/g, 'n');
    if (this.reasons.has(kind) || this.reasons.size < maxReasons)
      this.reasons.set(kind, (this.reasons.get(kind) ?? 0) + 1);
  }

  /** @param {Timed | undefined} kind @param {number | undefined} due */
  #time(kind, due) {
    if (kind !== undefined && due !== undefined) this.times[kind].push(performance.now() - due);
  }
}

/** @returns {Record<Timed, number[]>} */
const emptyTimes = () => ({
  receive: [],
  recovered: [],
  delivery: [],
  ack: [],
  read: [],
  typing: [],
  inbox: [],
  list: [],
  open: [],
});

/** @param {number[]} times */
export function percentiles(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  const { NaN: none } = Number;
  return { count: sorted.length, p50: at(0.5) ?? none, p99: at(0.99) ?? none, max: sorted.at(-1) ?? none };
}
