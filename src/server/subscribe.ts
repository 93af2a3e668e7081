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
import { assertSmallEvents } from '../schema/event-complexity.js';
import { findSharedBy, type SharedBy } from '../schema/of-viewer.js';
import type { RequestContext } from './context.js';

export type Subscribe = (args: ExecutionArgs) => Promise<ExecutionResult | AsyncIterableIterator<ExecutionResult>>;

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
  const shared = new LRUCache<object, Map<string, Executed>>({ max: maxSharedEvents, ttl: sharedMs });

  const executeEvent = (args: ExecutionArgs, event: unknown) => {
    const contextValue: RequestContext = { ...(args.contextValue as RequestContext) };
    return execute({ ...args, rootValue: event, contextValue });
  };
  const executeShared = (args: ExecutionArgs, event: object, key: string): Executed => {
    const results = shared.get(event) ?? new Map<string, Executed>();
    if (results.size === 0) shared.set(event, results);
    const known = results.get(key);
    if (known !== undefined) return known;
    const result = executeEvent(args, event);
    results.set(key, result);
    // Who comes later need not wait for what is there.
    if (isPromise(result)) {
      const keep = (value: ExecutionResult) => results.get(key) === result && results.set(key, value);
      result.then(keep).catch(() => undefined);
    }
    return result;
  };

  return async (args) => {
    const source = await openSource(args);
    if (!(Symbol.asyncIterator in source)) return source;
    const key = keyOf(args);
    const events = source[Symbol.asyncIterator]();
    let isEnded = false;
    const results: AsyncIterableIterator<ExecutionResult> = {
      [Symbol.asyncIterator]: () => results,
      async next() {
        if (isEnded) return { done: true, value: undefined };
        try {
          const { done, value: event } = await events.next();
          if (done === true) return { done, value: undefined };
          const isShared = key !== null && typeof event === 'object' && event !== null;
          const deadline = Date.now() + patienceMs;
          for (;;) {
            const executed = isShared ? executeShared(args, event, key) : executeEvent(args, event);
            const result = isPromise(executed) ? await executed : executed;
            if (!isUnavailable(result) || isEnded) return { done: false, value: result };
            if (Date.now() > deadline) {
              isEnded = true;
              await events.return?.();
              return { done: false, value: result };
            }
            if (isShared) shared.get(event)?.delete(key);
            await delay(retryMs, undefined, { ref: false });
          }
        } catch (error) {
          isEnded = true;
          await events.return?.();
          if (error instanceof SlowConsumerError) (args.contextValue as RequestContext).cutOff();
          return { done: false, value: toResult(error) };
        }
      },
      async return() {
        isEnded = true;
        await events.return?.();
        return { done: true, value: undefined };
      },
    };
    return results;
  };
}

/** What graphql executes without waiting for anything is there at once. */
type Executed = ExecutionResult | Promise<ExecutionResult>;

const isPromise = (executed: Executed): executed is Promise<ExecutionResult> => executed instanceof Promise;

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
