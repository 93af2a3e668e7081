import {
  createSourceEventStream,
  type ExecutionArgs,
  type ExecutionResult,
  getOperationAST,
  OperationTypeNode,
} from 'graphql';
import { SlowConsumerError } from '../../domain/errors.js';
import type { FairTurns } from '../../domain/fair-turns.js';
import type { Listener, Source } from '../../domain/source.js';
import { assertMaySubscribe } from '../../resolvers/access.js';
import { findBadArgument } from '../../schema/checked.js';
import { maxPriceOf } from '../../schema/price.js';
import type { RequestContext } from './context.js';
import { toResult } from './errors.js';
import { EventExecutions, isTooLarge, isUnavailable, type SharedExecution } from './event-executions.js';
import { type EventSelection, findEventSelection } from './event-selection.js';
import type { Execute } from './execute.js';
import { EventBudget } from './limits/event-budget.js';
import type { SubscriptionBudget } from './limits/subscription-budget.js';
import { declaredVariables } from './variables.js';

/** The results of a subscription. An error of its source is the last result. */
export interface Results extends AsyncIterableIterator<ExecutionResult, undefined> {
  /** Returns the next result if it is ready, because it was executed for another subscriber. */
  poll(): ExecutionResult | undefined;
  /**
   * True if there is no result now and the listener will be notified of the next one. If it is false and `poll` returns
   * undefined, call `next()`.
   */
  readonly isIdle: boolean;
  /** Notifies this listener from now on, until the end, whenever there may be another result. */
  listen(listener: Listener): void;
}

export type Subscribe = (args: ExecutionArgs) => Promise<ExecutionResult | Results>;

/**
 * `subscribe` of graphql with three differences. Subscribers of one event with the same operation share one execution: all of
 * them if the result does not depend on the viewer, otherwise those of one viewer. Each execution has its own context,
 * because loaders cache. And the result is not an async generator: `return()` reaches the source at once, even while `next()`
 * waits for it. An error of the source, or an event that is too large, is the last result; the stream ends after it.
 */
export function createSubscribe(
  execute: Execute,
  { budget, turns }: { readonly budget: SubscriptionBudget; readonly turns: FairTurns },
): Subscribe {
  const executions = new EventExecutions(execute, turns);
  const events = new EventBudget();
  return async (given) => {
    let giveBack = () => {};
    // Returns errors as results: over a WebSocket, a thrown error would close the whole socket.
    try {
      const args = withDeclaredVariables(given);
      const context = args.contextValue as RequestContext;
      if (context.viewer !== null) await assertMaySubscribe(context.deps, context.viewer);
      const badArgument = findBadArgument(args);
      if (badArgument !== null) return { errors: [badArgument] };
      const selected = findEventSelection(args);
      if (context.viewer !== null) {
        const { userId } = context.viewer;
        const giveBackEvent = events.take(userId, selected, maxPriceOf(OperationTypeNode.QUERY, context));
        giveBack = giveBackEvent;
        const giveBackMemory = budget.take(userId, args.document, args.variableValues);
        giveBack = () => {
          giveBackEvent();
          giveBackMemory();
        };
      }
      const source = await createSourceEventStream(args);
      if (Symbol.asyncIterator in source) {
        // Every subscription field of the schema resolves to a Source.
        return new Subscription(source as Source<unknown>, { args, selected, executions, giveBack });
      }
      giveBack();
      return source;
    } catch (error) {
      giveBack();
      return toResult(error);
    }
  };
}

/** Drops undeclared variables, which would be kept for the life of the subscription. */
function withDeclaredVariables(args: ExecutionArgs): ExecutionArgs {
  const operation = getOperationAST(args.document, args.operationName);
  return { ...args, variableValues: operation == null ? {} : declaredVariables(operation, args.variableValues) };
}

interface SubscriptionOptions {
  readonly args: ExecutionArgs;
  readonly selected: EventSelection;
  readonly executions: EventExecutions;
  /** Gives back the budget of the subscription. */
  readonly giveBack: () => void;
}

class Subscription implements Results {
  readonly #source: Source<unknown>;
  readonly #args: ExecutionArgs;
  /** Equal for all subscriptions that share executions; null if this one shares none. */
  readonly #key: string | null;
  readonly #selected: EventSelection;
  readonly #executions: EventExecutions;
  readonly #giveBack: () => void;
  /** The execution of the next event, until its result is returned. */
  #executing: { readonly event: object; readonly execution: SharedExecution } | undefined;
  #listener: Listener | undefined;
  #isEnded = false;

  constructor(source: Source<unknown>, { args, selected, executions, giveBack }: SubscriptionOptions) {
    this.#source = source;
    this.#args = args;
    const { viewer } = args.contextValue as RequestContext;
    const { key, isOfViewer } = selected;
    this.#key = key !== null && isOfViewer ? `${viewer?.userId} ${key}` : key;
    this.#selected = selected;
    this.#executions = executions;
    this.#giveBack = giveBack;
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
      if (isLast(result)) await this.#end();
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
    // Only results of shared executions can be ready.
    if (this.#isEnded || this.#key === null) return undefined;
    const event = this.#source.peek();
    if (!isObject(event)) return undefined;
    const { result } = this.#findExecution(event, this.#key);
    // A last result is left to `next()`, because ending the subscription is asynchronous.
    if (result === undefined || isLast(result)) return undefined;
    this.#executing = undefined;
    this.#source.skip(event);
    return result;
  }

  get isIdle(): boolean {
    if (this.#isEnded || this.#key === null) return false;
    if (this.#executing !== undefined) return this.#executing.execution.result === undefined;
    return this.#source.isIdle;
  }

  listen(listener: Listener): void {
    this.#listener = listener;
    this.#source.listen(listener);
  }

  #execute(event: unknown): ExecutionResult | Promise<ExecutionResult> {
    if (this.#key === null || !isObject(event)) {
      return this.#selected.isOfViewer
        ? this.#executions.executeInTurn(this.#args, event, this.#selected)
        : this.#executions.execute(this.#args, event);
    }
    const { result, settled } = this.#findExecution(event, this.#key);
    this.#executing = undefined;
    return result ?? settled;
  }

  /** Returns the execution that is waited for already, even if it is not shared with new subscribers any more. */
  #findExecution(event: object, key: string): SharedExecution {
    if (this.#executing?.event === event) return this.#executing.execution;
    const execution = this.#selected.isOfViewer
      ? this.#executions.shareOwn(this.#args, event, key, this.#selected)
      : this.#executions.share(this.#args, event, key);
    this.#executing = execution.result === undefined ? { event, execution } : undefined;
    if (this.#executing !== undefined && this.#listener !== undefined) execution.listen(this.#listener);
    return execution;
  }

  async #end(): Promise<void> {
    this.#isEnded = true;
    this.#giveBack();
    await this.#source.return();
  }
}

const isObject = (event: unknown): event is object => typeof event === 'object' && event !== null;

/**
 * Whether the subscription ends with this result: the database stays unavailable, or the events are too large. The client has
 * to subscribe again, or with a smaller selection.
 */
const isLast = (result: ExecutionResult): boolean => isUnavailable(result) || isTooLarge(result);
