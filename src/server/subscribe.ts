import { setTimeout as delay } from 'node:timers/promises';
import {
  createSourceEventStream,
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  GraphQLError,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import { ChatError, SlowConsumerError } from '../domain/errors.js';
import { isPollable, type Pollable } from '../domain/pollable.js';
import { assertSmallEvents } from '../schema/event-complexity.js';
import { findSharedBy, type SharedBy } from '../schema/of-viewer.js';
import type { RequestContext } from './context.js';

/** What a subscription yields. Errors of its source are the last result. */
export interface Results extends AsyncIterableIterator<ExecutionResult, undefined> {
  /** What comes next, where it is at hand: executed already, for another subscriber. */
  poll(): ExecutionResult | undefined;
  /** Calls back once, when there may be more at hand. Returns how to take that back; null where `next()` is to be called. */
  onMore(callback: () => void): (() => void) | null;
}

export type Subscribe = (args: ExecutionArgs) => Promise<ExecutionResult | Results>;

/** Subscribers take an event within moments of each other; who comes later finds names as they are by then. */
const sharedMs = 1_000;
const maxSharedEvents = 1_000;
/** A database that is away for a moment delays an event; one that stays away ends the subscription, to be begun anew. */
const retryMs = 1_000;
const patienceMs = 120_000;

/**
 * `subscribe` of graphql with three differences. Subscribers of one event with the same operation share one execution,
 * where nothing in it depends on who asks. Each execution has a context of its own, because loaders keep what they loaded.
 * And the result is no async generator: `return()` reaches the source at once, also while `next()` waits for it. An error
 * of the source is the last result; the stream ends behind it.
 */
export function createSubscribe(): Subscribe {
  const shared = new SharedExecutions();
  return async (args) => {
    const source = await openSource(args);
    if (!(Symbol.asyncIterator in source)) return source;
    return new Subscription(source[Symbol.asyncIterator](), args, keyOf(args), shared);
  };
}

class Subscription implements Results {
  readonly #source: AsyncIterator<unknown>;
  readonly #args: ExecutionArgs;
  readonly #key: string | null;
  readonly #shared: SharedExecutions;
  /** Where events can be had without waiting, and their executions are shared. */
  readonly #pollable: Pollable<unknown> | null;
  /** Of the event that comes next, until it is told. */
  #executing: { readonly event: object; readonly execution: SharedExecution } | undefined;
  #isEnded = false;

  constructor(source: AsyncIterator<unknown>, args: ExecutionArgs, key: string | null, shared: SharedExecutions) {
    this.#source = source;
    this.#args = args;
    this.#key = key;
    this.#shared = shared;
    this.#pollable = key !== null && isPollable(source) ? source : null;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<ExecutionResult, undefined>> {
    if (this.#isEnded) return { done: true, value: undefined };
    try {
      const { done, value: event } = await this.#source.next();
      if (done === true) return { done, value: undefined };
      const result = await this.#execute(event);
      // The database has stayed away: to be begun anew.
      if (isUnavailable(result)) await this.#end();
      return { done: false, value: result };
    } catch (error) {
      await this.#end();
      if (error instanceof SlowConsumerError) (this.#args.contextValue as RequestContext).cutOff();
      return { done: false, value: toResult(error) };
    }
  }

  async return(): Promise<IteratorResult<ExecutionResult, undefined>> {
    await this.#end();
    return { done: true, value: undefined };
  }

  poll(): ExecutionResult | undefined {
    const event = this.#isEnded ? undefined : this.#pollable?.peek();
    if (!isObject(event) || this.#key === null) return undefined;
    const { result } = this.#findExecution(event, this.#key);
    // What could not be executed ends the subscription, which takes a while.
    if (result === undefined || isUnavailable(result)) return undefined;
    this.#executing = undefined;
    this.#pollable?.skip();
    return result;
  }

  onMore(callback: () => void): (() => void) | null {
    if (this.#isEnded || this.#pollable === null) return null;
    return this.#executing?.execution.onResult(callback) ?? this.#pollable.onMore(callback);
  }

  #execute(event: unknown): ExecutionResult | Promise<ExecutionResult> {
    if (this.#key === null || !isObject(event)) return executeEvent(this.#args, event);
    const { result, settled } = this.#findExecution(event, this.#key);
    this.#executing = undefined;
    return result ?? settled;
  }

  /** The one that was waited for, however long that took. */
  #findExecution(event: object, key: string): SharedExecution {
    if (this.#executing?.event === event) return this.#executing.execution;
    const execution = this.#shared.execute(this.#args, event, key);
    this.#executing = execution.result === undefined ? { event, execution } : undefined;
    return execution;
  }

  async #end(): Promise<void> {
    this.#isEnded = true;
    await this.#source.return?.();
  }
}

/** What an event executes to, for all who share that. */
class SharedExecution {
  readonly settled: Promise<ExecutionResult>;
  /** Once it is there. */
  result: ExecutionResult | undefined;
  readonly #waiters = new Set<() => void>();

  constructor(executed: ExecutionResult | Promise<ExecutionResult>) {
    this.settled = Promise.resolve(executed);
    if (executed instanceof Promise) this.settled.then((result) => this.#settle(result)).catch(() => undefined);
    else this.result = executed;
  }

  /** Null where the result is there. */
  onResult(callback: () => void): (() => void) | null {
    if (this.result !== undefined) return null;
    this.#waiters.add(callback);
    return () => this.#waiters.delete(callback);
  }

  #settle(result: ExecutionResult): void {
    this.result = result;
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) waiter();
  }
}

/** Each event is executed once for each key, while it is new. */
class SharedExecutions {
  readonly #events = new LRUCache<object, Map<string, SharedExecution>>({ max: maxSharedEvents, ttl: sharedMs });
  /** The subscribers to one event come in a row. */
  #last:
    | { readonly event: object; readonly key: string; readonly at: number; readonly execution: SharedExecution }
    | undefined;

  execute(args: ExecutionArgs, event: object, key: string): SharedExecution {
    const last = this.#last;
    if (last?.event === event && last.key === key && performance.now() - last.at < sharedMs) return last.execution;
    const byKey = this.#events.get(event) ?? new Map<string, SharedExecution>();
    if (byKey.size === 0) this.#events.set(event, byKey);
    let execution = byKey.get(key);
    if (execution === undefined) {
      execution = new SharedExecution(executeEvent(args, event));
      byKey.set(key, execution);
      this.#last = { event, key, at: performance.now(), execution };
    }
    return execution;
  }
}

const isObject = (event: unknown): event is object => typeof event === 'object' && event !== null;

/** Tries again while the database is away, for as long as that is worth it. */
function executeEvent(args: ExecutionArgs, event: unknown): ExecutionResult | Promise<ExecutionResult> {
  const run = () => {
    const contextValue: RequestContext = { ...(args.contextValue as RequestContext) };
    return execute({ ...args, rootValue: event, contextValue });
  };
  const executed = run();
  return executed instanceof Promise || isUnavailable(executed) ? retry(executed, run) : executed;
}

async function retry(
  first: ExecutionResult | Promise<ExecutionResult>,
  run: () => ExecutionResult | Promise<ExecutionResult>,
): Promise<ExecutionResult> {
  const deadline = Date.now() + patienceMs;
  let result = await first;
  while (isUnavailable(result) && Date.now() < deadline) {
    await delay(retryMs, undefined, { ref: false });
    result = await run();
  }
  return result;
}

interface Plan {
  readonly number: number;
  readonly sharedBy: SharedBy;
}

/** By document, which the parser's cache makes one object for one text, and by the operation's name. */
const plans = new WeakMap<DocumentNode, Map<string, Plan>>();
let planCount = 0;

/** Equal for all who can share what an event executes to; null where everybody needs their own. */
function keyOf({ schema, document, operationName, variableValues }: ExecutionArgs): string | null {
  const byName = plans.get(document) ?? new Map<string, Plan>();
  plans.set(document, byName);
  let plan = byName.get(operationName ?? '');
  if (plan === undefined) {
    planCount += 1;
    plan = { number: planCount, sharedBy: findSharedBy(schema, document, operationName) };
    byName.set(operationName ?? '', plan);
  }
  if (plan.sharedBy === null) return null;
  return `${plan.number} ${JSON.stringify(plan.sharedBy.variables.map((name) => variableValues?.[name] ?? null))}`;
}

const isUnavailable = ({ errors }: ExecutionResult): boolean =>
  errors?.some(({ originalError }) => originalError instanceof ChatError && originalError.code === 'UNAVAILABLE') ===
  true;

/** What is thrown here is an answer too: over a WebSocket an error that is not answered ends the whole socket. */
async function openSource(args: ExecutionArgs): Promise<ExecutionResult | AsyncIterable<unknown>> {
  try {
    assertSmallEvents(args);
    return await createSourceEventStream(args);
  } catch (error) {
    return toResult(error);
  }
}

function toResult(error: unknown): ExecutionResult {
  if (error instanceof GraphQLError) return { errors: [error] };
  const originalError = error instanceof Error ? error : new Error(String(error));
  return { errors: [new GraphQLError(originalError.message, { originalError })] };
}
