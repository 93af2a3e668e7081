import { Allowance, type AllowanceOptions } from './allowance.js';
import { ChatError } from './errors.js';

/** A user's number, or the address of somebody without a token. */
export type TurnTaker = number | string;

export interface FairTurnsOptions {
  /** Under way at a time, of all users together; without it, each user's bound is the only one. */
  readonly atOnce?: number;
  readonly atOncePerUser: number;
  /** What is under way of one user may cost so much together; one alone may cost more. */
  readonly costAtOnce?: number;
  readonly maxWaitingPerUser: number;
  /** What has not begun by then is refused; without it, it waits as long as it takes. */
  readonly maxWaitMs?: number;
  /** What a user's work may cost; without it, however much. Who has spent it all waits until some is there again. */
  readonly allowance?: AllowanceOptions;
}

export interface Wait {
  /** Taken from the user's allowance when the work begins; nothing by default. */
  readonly cost?: number;
  /** Asked for only where there is a wait; it leaves the queue when the signal is aborted, with a ChatError as the reason. */
  readonly signal?: (() => AbortSignal) | undefined;
  /**
   * Takes what the work needs beside its turn, in the moment in which it would begin. False where somebody has that: then
   * those behind it go first, and `call` is to be called when it may be had.
   */
  readonly claim?: () => boolean;
  /** Waits behind however many, and however long. */
  readonly isPatient?: boolean;
}

interface Waiter {
  readonly cost: number;
  readonly claim: () => boolean;
  readonly begin: () => void;
}

interface Queue {
  readonly allowance: Allowance;
  underWay: number;
  /** Of what is under way. */
  cost: number;
  /** The first first. */
  readonly waiting: Set<Waiter>;
}

const sweepMs = 10_000;

/**
 * Turns by user: a few at a time each, and where not all can go at once, the users take turns, so that one with a thousand
 * waiting holds up another by one turn. What begins behind something else begins in a later turn of the event loop.
 */
export class FairTurns {
  readonly #options: Required<FairTurnsOptions>;
  /** Users with something under way or waiting, or whose allowance is not full. */
  readonly #queues = new Map<TurnTaker, Queue>();
  /** Those with something waiting, in the order of their turns. */
  readonly #waiting = new Map<TurnTaker, Queue>();
  #underWay = 0;
  #calling: NodeJS.Immediate | undefined;
  #resting: NodeJS.Timeout | undefined;
  #sweeping: NodeJS.Timeout | undefined;

  constructor(options: FairTurnsOptions) {
    const unbounded = Number.POSITIVE_INFINITY;
    this.#options = {
      atOnce: unbounded,
      costAtOnce: unbounded,
      maxWaitMs: unbounded,
      allowance: { burst: unbounded, perSecond: 0 },
      ...options,
    };
  }

  /** Users of whom something is known. */
  get size(): number {
    return this.#queues.size;
  }

  /** Does the work when its turn comes. @throws {ChatError} as `enter` does, beside what the work throws */
  async take<T>(user: TurnTaker, work: () => T | Promise<T>, wait?: Wait): Promise<T> {
    const leave = await this.enter(user, wait);
    try {
      return await work();
    } finally {
      leave();
    }
  }

  /**
   * Resolves when the user's turn comes, with how to end it; that twice does nothing.
   * @throws {ChatError} RATE_LIMITED where too many of the user's wait, or for too long; UNAVAILABLE where it has left
   */
  async enter(user: TurnTaker, wait: Wait = {}): Promise<() => void> {
    const { cost = 0, claim = free } = wait;
    const queue = this.#queueOf(user);
    if (this.#isFree(queue, cost) && claim()) this.#begin(queue, cost);
    else await this.#wait(user, queue, { ...wait, cost, claim });
    let isUnderWay = true;
    return () => {
      if (isUnderWay) this.#end(queue, cost);
      isUnderWay = false;
    };
  }

  /** Takes what the work has cost from the user's allowance, where that shows only in the end. */
  charge(user: TurnTaker, cost: number): void {
    this.#queueOf(user).allowance.spend(cost);
  }

  /** How long the user has to wait until something of the allowance is left, in milliseconds. */
  restMs(user: TurnTaker): number {
    return this.#queues.get(user)?.allowance.restMs ?? 0;
  }

  #queueOf(user: TurnTaker): Queue {
    const known = this.#queues.get(user);
    if (known !== undefined) return known;
    const queue = {
      allowance: new Allowance(this.#options.allowance),
      underWay: 0,
      cost: 0,
      waiting: new Set<Waiter>(),
    };
    this.#queues.set(user, queue);
    this.#sweeping ??= setInterval(() => this.#sweep(), sweepMs).unref();
    return queue;
  }

  /** Whether it can begin without a wait, before nobody who waits already. */
  #isFree(queue: Queue, cost: number): boolean {
    if (queue.waiting.size > 0 || !this.#hasRoom(queue, cost) || queue.allowance.restMs > 0) return false;
    return this.#waiting.size === 0 || this.#options.atOnce === Number.POSITIVE_INFINITY;
  }

  #hasRoom(queue: Queue, cost: number): boolean {
    const { atOnce, atOncePerUser, costAtOnce } = this.#options;
    if (this.#underWay >= atOnce || queue.underWay >= atOncePerUser) return false;
    return queue.underWay === 0 || queue.cost + cost <= costAtOnce;
  }

  /** Also where less is left than it costs: what is missing is waited for behind it. */
  #begin(queue: Queue, cost: number): void {
    queue.allowance.spend(cost);
    queue.cost += cost;
    queue.underWay += 1;
    this.#underWay += 1;
  }

  #end(queue: Queue, cost: number): void {
    queue.cost -= cost;
    queue.underWay -= 1;
    this.#underWay -= 1;
    this.#callLater();
  }

  #wait(
    user: TurnTaker,
    queue: Queue,
    { cost, claim, signal, isPatient = false }: Wait & Pick<Waiter, 'cost' | 'claim'>,
  ): Promise<void> {
    const { maxWaitingPerUser, maxWaitMs } = this.#options;
    if (!isPatient && queue.waiting.size >= maxWaitingPerUser) throw tooMuch(queue);
    return new Promise((resolve, reject) => {
      const departure = signal?.();
      const stopWaiting = () => {
        clearTimeout(timer);
        departure?.removeEventListener('abort', depart);
        queue.waiting.delete(waiter);
        if (queue.waiting.size === 0) this.#waiting.delete(user);
      };
      const give = (reason: ChatError) => {
        stopWaiting();
        reject(reason);
      };
      const depart = () => give(departure?.reason instanceof ChatError ? departure.reason : gone());
      const isBounded = !isPatient && maxWaitMs !== Number.POSITIVE_INFINITY;
      const timer = isBounded ? setTimeout(() => give(tooMuch(queue)), maxWaitMs) : undefined;
      const waiter: Waiter = {
        cost,
        claim,
        begin: () => {
          stopWaiting();
          resolve();
        },
      };
      queue.waiting.add(waiter);
      this.#waiting.set(user, queue);
      departure?.addEventListener('abort', depart);
      if (departure?.aborted) depart();
      else this.#callLater();
    });
  }

  #callLater(): void {
    if (this.#waiting.size === 0) return;
    this.#calling ??= setImmediate(() => {
      this.#calling = undefined;
      this.call();
    });
  }

  /** Begins what may begin. One of each user, round and round: who was called goes behind the others. */
  call(): void {
    let restMs = Number.POSITIVE_INFINITY;
    for (const [user, queue] of this.#waiting) {
      if (this.#underWay >= this.#options.atOnce) return;
      const [first] = queue.waiting;
      if (first === undefined || !this.#hasRoom(queue, first.cost)) continue;
      const rest = queue.allowance.restMs;
      if (rest > 0) {
        restMs = Math.min(restMs, rest);
        continue;
      }
      const next = this.#claimFirst(queue);
      if (next === undefined) continue;
      this.#begin(queue, next.cost);
      next.begin();
      if (!this.#waiting.delete(user)) continue;
      this.#waiting.set(user, queue);
    }
    this.#callIn(restMs);
  }

  /** The first that can have what it needs beside the turn. */
  #claimFirst(queue: Queue): Waiter | undefined {
    for (const waiter of queue.waiting) {
      if (!this.#hasRoom(queue, waiter.cost)) return undefined;
      if (waiter.claim()) return waiter;
    }
    return undefined;
  }

  #callIn(restMs: number): void {
    clearTimeout(this.#resting);
    this.#resting = restMs === Number.POSITIVE_INFINITY ? undefined : setTimeout(() => this.call(), restMs);
  }

  #sweep(): void {
    for (const [user, { allowance, underWay, waiting }] of this.#queues) {
      if (underWay === 0 && waiting.size === 0 && allowance.isFull) this.#queues.delete(user);
    }
    if (this.#queues.size > 0) return;
    clearInterval(this.#sweeping);
    this.#sweeping = undefined;
  }
}

const free = (): boolean => true;

const gone = () => new ChatError('UNAVAILABLE', 'The client has gone');

const minRetryMs = 1_000;

/** Behind what waits there may be a debt. */
const tooMuch = ({ allowance }: Queue) =>
  new ChatError('RATE_LIMITED', 'Too much of this user waits already', {
    retryAfterMs: Math.max(minRetryMs, allowance.restMs),
  });
