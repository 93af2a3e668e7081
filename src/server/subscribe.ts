import { setTimeout as delay } from 'node:timers/promises';
import {
  createSourceEventStream,
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  getOperationAST,
} from 'graphql';
import { LRUCache } from 'lru-cache';
import { ChatError, SlowConsumerError } from '../domain/errors.js';
import { isPollable, type Listener, type Pollable } from '../domain/pollable.js';
import { findBadArgument } from '../schema/checked.js';
import { assertSmallEvents } from '../schema/complexity.js';
import { type EventsDependOn, findWhatEventsDependOn } from '../schema/of-viewer.js';
import type { RequestContext } from './context.js';
import type { Execute } from './execute.js';
import type { SubscriptionBudget } from './subscription-budget.js';
import { declaredVariables } from './variables.js';

/** What a subscription yields. Errors of its source are the last result. */
export interface Results extends AsyncIterableIterator<ExecutionResult, undefined> {
  /** What comes next, where it is at hand: executed already, for another subscriber. */
  poll(): ExecutionResult | undefined;
  /** There is nothing, and the listener is woken when there may be more. Else only `next()` can tell what comes. */
  readonly isIdle: boolean;
  /** Wakes this one from now on, until the end, whenever there may be more at hand. */
  listen(listener: Listener): void;
}

export type Subscribe = (args: ExecutionArgs) => Promise<ExecutionResult | Results>;

/** Subscribers take an event within moments of each other; who comes later finds names as they are by then. */
const sharedMs = 1_000;
const maxSharedEvents = 1_000;
/** Variables of a selection that are longer than this in JSON are one subscriber's own, and are not compared with others'. */
const maxSharedVariables = 1_000;
/** A database that is away for a moment delays an event; one that stays away ends the subscription, to be begun anew. */
const retryMs = 1_000;
const patienceMs = 120_000;

/**
 * `subscribe` of graphql with three differences. Subscribers of one event with the same operation share one execution,
 * where nothing in it depends on who asks. Each execution has a context of its own, because loaders keep what they loaded.
 * And the result is no async generator: `return()` reaches the source at once, also while `next()` waits for it. An error
 * of the source is the last result; the stream ends behind it.
 */
export function createSubscribe(execute: Execute, budget: SubscriptionBudget): Subscribe {
  const executions = new Executions(execute);
  return async (given) => {
    let giveBack = () => {};
    // What is thrown here is an answer too: over a WebSocket an error that is not answered ends the whole socket.
    try {
      const args = withDeclaredVariables(given);
      const { viewer } = args.contextValue as RequestContext;
      const badArgument = findBadArgument(args);
      if (badArgument !== null) return { errors: [badArgument] };
      const key = keyOf(args);
      if (viewer !== null) giveBack = budget.take(viewer.userId, args.document, args.variableValues);
      const source = await createSourceEventStream(args);
      if (Symbol.asyncIterator in source) {
        return new Subscription(source[Symbol.asyncIterator](), { args, key, executions, giveBack });
      }
      giveBack();
      return source;
    } catch (error) {
      giveBack();
      return toResult(error);
    }
  };
}

/** What is given beyond the declared variables would be kept as long as the subscription lives. */
function withDeclaredVariables(args: ExecutionArgs): ExecutionArgs {
  const operation = getOperationAST(args.document, args.operationName);
  return { ...args, variableValues: operation == null ? {} : declaredVariables(operation, args.variableValues) };
}

interface SubscriptionOptions {
  readonly args: ExecutionArgs;
  readonly key: string | null;
  readonly executions: Executions;
  /** Of what it keeps. */
  readonly giveBack: () => void;
}

class Subscription implements Results {
  readonly #source: AsyncIterator<unknown>;
  readonly #args: ExecutionArgs;
  readonly #key: string | null;
  readonly #executions: Executions;
  readonly #giveBack: () => void;
  /** Where events can be had without waiting, and their executions are shared. */
  readonly #pollable: Pollable<unknown> | null;
  /** Of the event that comes next, until it is told. */
  #executing: { readonly event: object; readonly execution: SharedExecution } | undefined;
  #listener: Listener | undefined;
  #isEnded = false;

  constructor(source: AsyncIterator<unknown>, { args, key, executions, giveBack }: SubscriptionOptions) {
    this.#source = source;
    this.#args = args;
    this.#key = key;
    this.#executions = executions;
    this.#giveBack = giveBack;
    this.#pollable = key !== null && isPollable(source) ? source : null;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<ExecutionResult, undefined>> {
    if (this.#isEnded) return { done: true, value: undefined };
    try {
      const { done, value: event } = await this.#source.next();
      if (done === true) {
        await this.#end();
        return { done, value: undefined };
      }
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
    this.#pollable?.skip(event);
    return result;
  }

  get isIdle(): boolean {
    if (this.#isEnded || this.#pollable === null) return false;
    if (this.#executing !== undefined) return this.#executing.execution.result === undefined;
    return this.#pollable.isIdle;
  }

  listen(listener: Listener): void {
    this.#listener = listener;
    this.#pollable?.listen(listener);
  }

  #execute(event: unknown): ExecutionResult | Promise<ExecutionResult> {
    if (this.#key === null || !isObject(event)) return this.#executions.execute(this.#args, event);
    const { result, settled } = this.#findExecution(event, this.#key);
    this.#executing = undefined;
    return result ?? settled;
  }

  /** The one that was waited for, however long that took. */
  #findExecution(event: object, key: string): SharedExecution {
    if (this.#executing?.event === event) return this.#executing.execution;
    const execution = this.#executions.share(this.#args, event, key);
    this.#executing = execution.result === undefined ? { event, execution } : undefined;
    if (this.#executing !== undefined && this.#listener !== undefined) execution.listen(this.#listener);
    return execution;
  }

  async #end(): Promise<void> {
    this.#isEnded = true;
    this.#giveBack();
    await this.#source.return?.();
  }
}

/** What an event executes to, for all who share that. */
class SharedExecution {
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

class Executions {
  readonly #execute: Execute;
  readonly #events = new LRUCache<object, Map<string, SharedExecution>>({ max: maxSharedEvents, ttl: sharedMs });
  /** The subscribers to one event come in a row. */
  #last:
    | { readonly event: object; readonly key: string; readonly at: number; readonly execution: SharedExecution }
    | undefined;

  constructor(execute: Execute) {
    this.#execute = execute;
  }

  /** Tries again while the database is away, for as long as that is worth it. */
  execute(args: ExecutionArgs, event: unknown): ExecutionResult | Promise<ExecutionResult> {
    const run = () => {
      const contextValue: RequestContext = { ...(args.contextValue as RequestContext) };
      return this.#execute({ ...args, rootValue: event, contextValue });
    };
    const executed = run();
    return executed instanceof Promise || isUnavailable(executed) ? retry(executed, run) : executed;
  }

  /** Once for all with this key, while the event is new. */
  share(args: ExecutionArgs, event: object, key: string): SharedExecution {
    const last = this.#last;
    if (last?.event === event && last.key === key && performance.now() - last.at < sharedMs) return last.execution;
    const byKey = this.#events.get(event) ?? new Map<string, SharedExecution>();
    if (byKey.size === 0) this.#events.set(event, byKey);
    let execution = byKey.get(key);
    if (execution === undefined) {
      execution = new SharedExecution(this.execute(args, event));
      byKey.set(key, execution);
      this.#last = { event, key, at: performance.now(), execution };
    }
    return execution;
  }
}

const isObject = (event: unknown): event is object => typeof event === 'object' && event !== null;

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
  return result;
}

interface Plan {
  readonly number: number;
  readonly eventsDependOn: EventsDependOn;
  /** Of the newest subscription: the variables, with which its events were found small, and its key. */
  newest: { readonly values: string; readonly key: string | null } | undefined;
}

/** By document, which the parser's cache makes one object for one text, and by the operation's name. */
const plans = new WeakMap<DocumentNode, Map<string, Plan>>();
let planCount = 0;

function planOf({ schema, document, operationName }: ExecutionArgs): Plan {
  const byName = plans.get(document) ?? new Map<string, Plan>();
  plans.set(document, byName);
  let plan = byName.get(operationName ?? '');
  if (plan === undefined) {
    planCount += 1;
    const eventsDependOn = findWhatEventsDependOn(schema, document, operationName);
    plan = { number: planCount, eventsDependOn, newest: undefined };
    byName.set(operationName ?? '', plan);
  }
  return plan;
}

/**
 * Equal for all who can share what an event executes to; null where everybody needs their own.
 * @throws {ChatError} BAD_USER_INPUT where one event may be too large
 */
function keyOf(args: ExecutionArgs): string | null {
  const plan = planOf(args);
  const { variables, viewer } = plan.eventsDependOn;
  const given = args.variableValues ?? {};
  // Null is another value than none, which is the default.
  const values = JSON.stringify(variables.map((name) => (Object.hasOwn(given, name) ? [given[name]] : [])));
  if (values.length > maxSharedVariables) {
    assertSmallEvents(args);
    return null;
  }
  if (plan.newest?.values !== values) {
    assertSmallEvents(args);
    plan.newest = { values, key: viewer ? null : `${plan.number} ${values}` };
  }
  return plan.newest.key;
}

const isUnavailable = ({ errors }: ExecutionResult): boolean =>
  errors?.some(({ originalError }) => originalError instanceof ChatError && originalError.code === 'UNAVAILABLE') ===
  true;

function toResult(error: unknown): ExecutionResult {
  if (error instanceof GraphQLError) return { errors: [error] };
  const originalError = error instanceof Error ? error : new Error(String(error));
  return { errors: [new GraphQLError(originalError.message, { originalError })] };
}
