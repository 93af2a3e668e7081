import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutionArgs, ExecutionResult } from 'graphql';
import { LRUCache } from 'lru-cache';
import { ChatError } from '../../domain/errors.js';
import { FairTurns } from '../../domain/fair-turns.js';
import type { Listener } from '../../domain/source.js';
import { extraPriceOf } from '../../schema/bill.js';
import type { RequestContext } from './context.js';
import { toResult } from './errors.js';
import type { EventSelection } from './event-selection.js';
import type { Execute } from './execute.js';

/** Subscribers take an event within moments of each other; a later one gets a new execution with the current names. */
const sharedMs = 1_000;
const maxSharedEvents = 1_000;
/** Shorter for executions that depend on the viewer: later ones show what the viewer has changed since. */
const ownSharedMs = 100;
/** The maximum number of running executions for one viewer alone. */
const maxOwnAtOnce = 4;
/** Such an event of one viewer does not count as late while it is executed: it takes that long because of its selection. */
const maxCountedPrice = 100;
/** An unavailable database delays an event; after `patienceMs` the subscription ends, and the client has to subscribe again. */
const retryMs = 1_000;
const patienceMs = 120_000;

/** The execution of an event, shared by several subscribers. */
export class SharedExecution {
  readonly settled: Promise<ExecutionResult>;
  /** Undefined until the execution has ended. */
  result: ExecutionResult | undefined;
  #listeners: Listener[] = [];

  constructor(executed: ExecutionResult | Promise<ExecutionResult>) {
    this.settled = Promise.resolve(executed).catch(toResult);
    if (executed instanceof Promise) void this.settled.then((result) => this.#settle(result));
    else this.result = executed;
  }

  /** Wakes the listener when the result is ready. */
  listen(listener: Listener): void {
    this.#listeners.push(listener);
  }

  #settle(result: ExecutionResult): void {
    this.result = result;
    for (const listener of this.#listeners) listener.wake();
    this.#listeners = [];
  }
}

type EventPrice = Pick<EventSelection, 'cost' | 'price'>;

type ByKey = Map<string, SharedExecution>;

/** The turns of executions for one viewer alone. */
export function createEventTurns({ complexityPerMinute }: { readonly complexityPerMinute: number }): FairTurns {
  const perSecond = complexityPerMinute / 60;
  return new FairTurns({
    atOncePerUser: maxOwnAtOnce,
    maxWaitingPerUser: Number.POSITIVE_INFINITY,
    allowance: { burst: perSecond, perSecond },
  });
}

/** Executes the events of all subscriptions. */
export class EventExecutions {
  readonly #execute: Execute;
  readonly #events = new LRUCache<object, ByKey>({ max: maxSharedEvents, ttl: sharedMs });
  /** Recent executions that depend on one viewer. */
  readonly #own = new Map<object, ByKey>();
  readonly #turns: FairTurns;
  /** The last shared execution, because the subscribers of one event usually follow each other. */
  #last:
    | { readonly event: object; readonly key: string; readonly at: number; readonly execution: SharedExecution }
    | undefined;

  constructor(execute: Execute, turns: FairTurns) {
    this.#execute = execute;
    this.#turns = turns;
  }

  /** Retries while the database is unavailable, for up to `patienceMs`. */
  execute(args: ExecutionArgs, event: unknown, noteContext?: NoteContext): ExecutionResult | Promise<ExecutionResult> {
    return executePatiently(() => {
      const contextValue: RequestContext = { ...(args.contextValue as RequestContext) };
      noteContext?.(contextValue);
      return this.#execute({ ...args, rootValue: event, contextValue });
    });
  }

  #executeForAll(args: ExecutionArgs, event: object): ExecutionResult | Promise<ExecutionResult> {
    return executePatiently(() => {
      const contextValue = withoutViewer(args.contextValue as RequestContext);
      return this.#execute({ ...args, rootValue: event, contextValue });
    });
  }

  /** Executes once for all subscribers with this key, for as long as the event is new. */
  share(args: ExecutionArgs, event: object, key: string): SharedExecution {
    const last = this.#last;
    if (last?.event === event && last.key === key && performance.now() - last.at < sharedMs) return last.execution;
    const byKey = this.#events.get(event) ?? new Map<string, SharedExecution>();
    if (byKey.size === 0) this.#events.set(event, byKey);
    let execution = byKey.get(key);
    if (execution === undefined) {
      execution = new SharedExecution(this.#executeForAll(args, event));
      byKey.set(key, execution);
      this.#last = { event, key, at: performance.now(), execution };
    }
    return execution;
  }

  /** Executes once for all subscriptions of one viewer with this key, for a moment; a few per viewer at a time. */
  shareOwn(args: ExecutionArgs, event: object, key: string, price: EventPrice): SharedExecution {
    if (this.#own.size === 0) setTimeout(() => this.#own.clear(), ownSharedMs).unref();
    const byKey: ByKey = this.#own.get(event) ?? new Map();
    this.#own.set(event, byKey);
    let execution = byKey.get(key);
    if (execution === undefined) {
      execution = new SharedExecution(this.executeInTurn(args, event, price));
      byKey.set(key, execution);
    }
    return execution;
  }

  /**
   * Executes a few events of a viewer at a time, and as many fields per minute as their queries may touch, so that other
   * viewers get their turns.
   * Charges further entries of unpaged lists afterwards.
   */
  async executeInTurn(args: ExecutionArgs, event: unknown, { cost, price }: EventPrice): Promise<ExecutionResult> {
    const { viewer } = args.contextValue as RequestContext;
    const userId = viewer?.userId ?? 0;
    const leave = await this.#turns.enter(userId, { cost, isPatient: true, isLarge: price > maxCountedPrice });
    let context: RequestContext | undefined;
    try {
      return await this.execute(args, event, (created) => {
        context = created;
      });
    } finally {
      if (context !== undefined) this.#turns.charge(userId, extraPriceOf(context));
      leave();
    }
  }
}

/** Called with the context of each execution. */
type NoteContext = (context: RequestContext) => void;

/**
 * Makes a field fail that reads the viewer but is not marked `ofViewer`: otherwise everybody would see the data of one
 * viewer.
 */
const withoutViewer = (context: RequestContext): RequestContext => ({
  ...context,
  isShared: true,
  get viewer(): never {
    throw new Error('An event that is shared has no viewer: mark the field with ofViewer');
  },
});

function executePatiently(run: () => ExecutionResult | Promise<ExecutionResult>) {
  const executed = run();
  return executed instanceof Promise || isUnavailable(executed) ? retry(executed, run) : executed;
}

async function retry(
  first: ExecutionResult | Promise<ExecutionResult>,
  run: () => ExecutionResult | Promise<ExecutionResult>,
): Promise<ExecutionResult> {
  const deadline = performance.now() + patienceMs;
  let result = await first;
  while (isUnavailable(result) && performance.now() < deadline) {
    await delay(retryMs, undefined, { ref: false });
    result = await run();
  }
  const { errors } = result;
  // The subscription ends before this event. A client that resumes after its last event then gets this one, completely.
  return errors !== undefined && isUnavailable(result) ? { errors } : result;
}

/** Whether the database was unavailable. */
export const isUnavailable = ({ errors }: ExecutionResult): boolean =>
  errors?.some(({ originalError }) => originalError instanceof ChatError && originalError.code === 'UNAVAILABLE') ===
  true;

/** Whether the event was refused as too large; later ones would be, too. */
export const isTooLarge = ({ data, errors }: ExecutionResult): boolean =>
  data == null &&
  errors?.some(({ originalError }) => originalError instanceof ChatError && originalError.code === 'BAD_USER_INPUT') ===
    true;
