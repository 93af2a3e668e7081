import { Allowance, type AllowanceOptions } from './allowance.js';
import { ChatError } from './errors.js';
import { every, type Loop } from './every.js';

/** A user's number, or the address of a client without a token. */
export type TurnTaker = number | string;

export interface FairTurnsOptions {
  /** How much work of all users together may run at a time; without it, only each user's own limit holds. */
  readonly atOnce?: number;
  readonly atOncePerUser: number;
  /** The maximum total cost of one user's running work; a single piece of work may cost more. */
  readonly costAtOnce?: number;
  readonly maxWaitingPerUser: number;
  /** Work that has not begun by then is refused; without it, work waits without a limit. */
  readonly maxWaitMs?: number;
  /** How much a user's work may cost; without it, there is no limit. A user who has spent it waits for the refill. */
  readonly allowance?: AllowanceOptions;
  /** The error for refused work; `restMs` is the time until the user's allowance is positive again. */
  readonly refuse?: (restMs: number) => ChatError;
}

export interface Wait {
  /** Taken from the user's allowance when the work begins; 0 by default. */
  readonly cost?: number;
  /** Called only if the work has to wait. The work leaves the queue when the signal aborts, with a ChatError as the reason. */
  readonly signal?: (() => AbortSignal) | undefined;
  /**
   * Takes a resource that the work needs beside its turn, at the moment when it would begin. False if the resource is taken:
   * then the work behind it in the queue goes first. Call `call` when the resource may be free again.
   */
  readonly claim?: () => boolean;
  /** Ignores `maxWaitingPerUser` and `maxWaitMs`. */
  readonly isPatient?: boolean;
  /** Large by the user's own choice: until it ends, `heldUntil` counts the user as held up. */
  readonly isLarge?: boolean;
}

type Work = Pick<Waiter, 'cost' | 'isLarge'>;

interface Waiter {
  readonly cost: number;
  readonly isLarge: boolean;
  readonly claim: () => boolean;
  readonly begin: () => void;
}

interface Queue {
  readonly allowance: Allowance;
  underWay: number;
  /** The total cost of the running work. */
  cost: number;
  /** How much of the running work is large. */
  large: number;
  /** In the order of arrival. */
  readonly waiting: Set<Waiter>;
  /** When the user's own limits last held up work, or will when the allowance is positive again. */
  heldUntil: number;
}

const sweepMs = 10_000;

/**
 * Round-robin scheduling by user. Each user may run a few pieces of work at a time. If not all fit, users take turns, so a
 * user with a thousand waiting delays another user by one turn only. Work that had to wait begins in a later turn of the
 * event loop.
 */
export class FairTurns {
  readonly #options: Required<FairTurnsOptions>;
  /** Users with running or waiting work, or whose allowance is not full. */
  readonly #queues = new Map<TurnTaker, Queue>();
  /** Users with waiting work, in the order of their turns. */
  readonly #waiting = new Map<TurnTaker, Queue>();
  #underWay = 0;
  #calling: NodeJS.Immediate | undefined;
  #resting: NodeJS.Timeout | undefined;
  #sweeping: Loop | undefined;

  constructor(options: FairTurnsOptions) {
    const unbounded = Number.POSITIVE_INFINITY;
    this.#options = {
      atOnce: unbounded,
      costAtOnce: unbounded,
      maxWaitMs: unbounded,
      allowance: { burst: unbounded, perSecond: 0 },
      refuse: tooMuch,
      ...options,
    };
  }

  /** How many users have state here. */
  get size(): number {
    return this.#queues.size;
  }

  /** Runs the work when its turn comes. @throws {ChatError} as `enter` does, and whatever the work throws */
  async take<T>(user: TurnTaker, work: () => T | Promise<T>, wait?: Wait): Promise<T> {
    const leave = await this.enter(user, wait);
    try {
      return await work();
    } finally {
      leave();
    }
  }

  /**
   * Resolves when the user's turn comes, with a function that ends the turn; calling it twice is harmless.
   * @throws {ChatError} RATE_LIMITED if too much of the user's work waits, or for too long; UNAVAILABLE if the client has left
   */
  async enter(user: TurnTaker, wait: Wait = {}): Promise<() => void> {
    const { cost = 0, isLarge = false, claim = free } = wait;
    const queue = this.#queueOf(user);
    const work = { cost, isLarge };
    if (this.#isFree(queue, cost) && claim()) this.#begin(queue, work);
    else await this.#wait(user, queue, { ...wait, ...work, claim });
    let isUnderWay = true;
    return () => {
      if (isUnderWay) this.#end(queue, work);
      isUnderWay = false;
    };
  }

  /** Takes a cost that is known only afterwards from the user's allowance. */
  charge(user: TurnTaker, cost: number): void {
    this.#queueOf(user).allowance.spend(cost);
  }

  /** Milliseconds until the user's allowance is positive again. */
  restMs(user: TurnTaker): number {
    return this.#queues.get(user)?.allowance.restMs ?? 0;
  }

  /**
   * The last moment at which work of the user waited because of the user's own limits, and not for work of others, or was
   * large: now, if some does. By `performance.now()`; minus infinity if none did lately.
   */
  heldUntil(user: TurnTaker): number {
    const queue = this.#queues.get(user);
    if (queue === undefined) return Number.NEGATIVE_INFINITY;
    const now = performance.now();
    return this.#isHeld(queue) ? now : Math.min(now, queue.heldUntil);
  }

  #isHeld(queue: Queue): boolean {
    if (queue.large > 0) return true;
    const [first] = queue.waiting;
    return first !== undefined && (!this.#hasOwnRoom(queue, first.cost) || queue.allowance.restMs > 0);
  }

  #queueOf(user: TurnTaker): Queue {
    const known = this.#queues.get(user);
    if (known !== undefined) return known;
    const queue = {
      allowance: new Allowance(this.#options.allowance),
      underWay: 0,
      cost: 0,
      large: 0,
      waiting: new Set<Waiter>(),
      heldUntil: Number.NEGATIVE_INFINITY,
    };
    this.#queues.set(user, queue);
    this.#sweeping ??= every(sweepMs, () => this.#sweep());
    return queue;
  }

  /** Whether the work can begin now without overtaking anybody who waits. */
  #isFree(queue: Queue, cost: number): boolean {
    if (queue.waiting.size > 0 || !this.#hasRoom(queue, cost) || queue.allowance.restMs > 0) return false;
    return this.#waiting.size === 0 || this.#options.atOnce === Number.POSITIVE_INFINITY;
  }

  #hasRoom(queue: Queue, cost: number): boolean {
    return this.#underWay < this.#options.atOnce && this.#hasOwnRoom(queue, cost);
  }

  #hasOwnRoom(queue: Queue, cost: number): boolean {
    const { atOncePerUser, costAtOnce } = this.#options;
    if (queue.underWay >= atOncePerUser) return false;
    return queue.underWay === 0 || queue.cost + cost <= costAtOnce;
  }

  /** Begins even if less of the allowance is left than the work costs: the next work waits for the difference. */
  #begin(queue: Queue, { cost, isLarge }: Work): void {
    queue.allowance.spend(cost);
    queue.cost += cost;
    if (isLarge) queue.large += 1;
    queue.underWay += 1;
    this.#underWay += 1;
  }

  #end(queue: Queue, { cost, isLarge }: Work): void {
    if (this.#isHeld(queue)) queue.heldUntil = Math.max(queue.heldUntil, performance.now());
    queue.cost -= cost;
    if (isLarge) queue.large -= 1;
    queue.underWay -= 1;
    this.#underWay -= 1;
    this.#callLater();
  }

  #wait(
    user: TurnTaker,
    queue: Queue,
    { cost, isLarge, claim, signal, isPatient = false }: Wait & Pick<Waiter, 'cost' | 'isLarge' | 'claim'>,
  ): Promise<void> {
    const { maxWaitingPerUser, maxWaitMs, refuse } = this.#options;
    const refusal = () => refuse(queue.allowance.restMs);
    if (!isPatient && queue.waiting.size >= maxWaitingPerUser) throw refusal();
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
      const timer = isBounded ? setTimeout(() => give(refusal()), maxWaitMs) : undefined;
      const waiter: Waiter = {
        cost,
        isLarge,
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

  /** Begins the work that may begin. Takes one piece per user: a user whose work began moves to the end of the order. */
  call(): void {
    let restMs = Number.POSITIVE_INFINITY;
    for (const [user, queue] of this.#waiting) {
      if (this.#underWay >= this.#options.atOnce) return;
      const [first] = queue.waiting;
      if (first === undefined || !this.#hasRoom(queue, first.cost)) continue;
      const rest = queue.allowance.restMs;
      if (rest > 0) {
        restMs = Math.min(restMs, rest);
        queue.heldUntil = performance.now() + rest;
        continue;
      }
      const next = this.#claimFirst(queue);
      if (next === undefined) continue;
      this.#begin(queue, next);
      next.begin();
      if (!this.#waiting.delete(user)) continue;
      this.#waiting.set(user, queue);
    }
    this.#callIn(restMs);
  }

  /** The first waiter whose `claim` succeeds. */
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
    void this.#sweeping?.stop();
    this.#sweeping = undefined;
  }
}

const free = (): boolean => true;

const gone = () => new ChatError('UNAVAILABLE', 'The client has disconnected');

const minRetryMs = 1_000;

/** The user's allowance may be negative: a retry before it is refilled would be refused again. */
const tooMuch = (restMs: number) =>
  new ChatError('RATE_LIMITED', 'Too many requests of this user are waiting already', {
    retryAfterMs: Math.max(minRetryMs, restMs),
  });
