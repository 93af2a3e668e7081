import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutionArgs, ExecutionResult } from 'graphql';
import { LRUCache } from 'lru-cache';
import { ChatError } from '../../domain/errors.js';
import { FairTurns } from '../../domain/fair-turns.js';
import type { Listener } from '../../domain/source.js';
import { extraPriceOf } from '../../schema/bill.js';
import type { RequestContext } from './context.js';
import { toResult } from './errors.js';
import type { Execute } from './execute.js';

/** Subscribers take an event within moments of each other; who comes later finds names as they are by then. */
const sharedMs = 1_000;
const maxSharedEvents = 1_000;
/** What a viewer has done since shows in what comes later, so what only they see is shared for less. */
const ownSharedMs = 100;
/** Of the events of one viewer, where they are executed for them alone. */
const maxOwnAtOnce = 4;
/** A database that is away for a moment delays an event; one that stays away ends the subscription, to be begun anew. */
const retryMs = 1_000;
const patienceMs = 120_000;

/** What an event executes to, for all who share that. */
export class SharedExecution {
  readonly settled: Promise<ExecutionResult>;
  /** Once it is there. */
  result: ExecutionResult | undefined;
  #listeners: Listener[] = [];

  constructor(executed: ExecutionResult | Promise<ExecutionResult>) {
    this.settled = Promise.resolve(executed).catch(toResult);
    if (executed instanceof Promise) void this.settled.then((result) => this.#settle(result));
    else this.result = executed;
  }

  /** Wakes this one when the result is there. */
  listen(listener: Listener): void {
    this.#listeners.push(listener);
  }

  #settle(result: ExecutionResult): void {
    this.result = result;
    for (const listener of this.#listeners) listener.wake();
    this.#listeners = [];
  }
}

type ByKey = Map<string, SharedExecution>;

/** Executes the events of all subscriptions. */
export class Executions {
  readonly #execute: Execute;
  readonly #events = new LRUCache<object, ByKey>({ max: maxSharedEvents, ttl: sharedMs });
  /** Those for one viewer each, of the last moment. */
  readonly #own = new Map<object, ByKey>();
  /** From the first execution for one viewer alone. */
  #turns: FairTurns | undefined;
  /** The subscribers to one event come in a row. */
  #last:
    | { readonly event: object; readonly key: string; readonly at: number; readonly execution: SharedExecution }
    | undefined;

  constructor(execute: Execute) {
    this.#execute = execute;
  }

  /** Tries again while the database is away, for as long as that is worth it. */
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

  /** Once for all with this key, while the event is new. */
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

  /** Once for all subscriptions of one viewer with this key, for a moment; a few of a viewer at a time. */
  shareOwn(args: ExecutionArgs, event: object, key: string, cost: number): SharedExecution {
    if (this.#own.size === 0) setTimeout(() => this.#own.clear(), ownSharedMs).unref();
    const byKey: ByKey = this.#own.get(event) ?? new Map();
    this.#own.set(event, byKey);
    let execution = byKey.get(key);
    if (execution === undefined) {
      execution = new SharedExecution(this.executeInTurn(args, event, cost));
      byKey.set(key, execution);
    }
    return execution;
  }

  /**
   * A few of a viewer at a time, and as much a minute as their queries may touch: whatever they subscribe to, others come
   * between.
   * @param cost - how many fields it touches, beside what its lists turn out to hold
   */
  async executeInTurn(args: ExecutionArgs, event: unknown, cost: number): Promise<ExecutionResult> {
    const { viewer, deps } = args.contextValue as RequestContext;
    const userId = viewer?.userId ?? 0;
    const perSecond = deps.limits.complexityPerMinute / 60;
    this.#turns ??= new FairTurns({
      atOncePerUser: maxOwnAtOnce,
      maxWaitingPerUser: Number.POSITIVE_INFINITY,
      allowance: { burst: perSecond, perSecond },
    });
    const leave = await this.#turns.enter(userId, { cost, isPatient: true });
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

/** Told the context of each execution. */
type NoteContext = (context: RequestContext) => void;

/** A field that reads the viewer and is not marked `ofViewer` fails, rather than show everybody what one may see. */
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
  // The subscription ends before this event: who begins anew behind what they have is told of it then, and of all of it.
  return errors !== undefined && isUnavailable(result) ? { errors } : result;
}

/** The database stayed away. */
export const isUnavailable = ({ errors }: ExecutionResult): boolean =>
  errors?.some(({ originalError }) => originalError instanceof ChatError && originalError.code === 'UNAVAILABLE') ===
  true;

/** The event is larger than it may be, and so will others be. */
export const isTooLarge = ({ data, errors }: ExecutionResult): boolean =>
  data == null &&
  errors?.some(({ originalError }) => originalError instanceof ChatError && originalError.code === 'BAD_USER_INPUT') ===
    true;
