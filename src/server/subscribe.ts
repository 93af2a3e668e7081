import { createSourceEventStream, type ExecutionArgs, type ExecutionResult, execute, GraphQLError } from 'graphql';
import { SlowConsumerError } from '../domain/errors.js';
import { assertSmallEvents } from '../schema/event-complexity.js';
import type { RequestContext } from './context.js';

/**
 * `subscribe` of graphql with two differences. Each event is executed with a context of its own, because loaders keep
 * what they loaded. And the result is no async generator: `return()` reaches the source at once, also while `next()`
 * waits for it. An error of the source is the last result; the stream ends behind it.
 */
export async function subscribe(
  args: ExecutionArgs,
): Promise<ExecutionResult | AsyncIterableIterator<ExecutionResult>> {
  const source = await openSource(args);
  if (!(Symbol.asyncIterator in source)) return source;
  const context = args.contextValue as RequestContext;
  const events = source[Symbol.asyncIterator]();
  let isEnded = false;
  const results: AsyncIterableIterator<ExecutionResult> = {
    [Symbol.asyncIterator]: () => results,
    async next() {
      if (isEnded) return { done: true, value: undefined };
      try {
        const event = await events.next();
        if (event.done === true) return { done: true, value: undefined };
        const contextValue: RequestContext = { ...context };
        return { done: false, value: await execute({ ...args, rootValue: event.value, contextValue }) };
      } catch (error) {
        isEnded = true;
        await events.return?.();
        if (error instanceof SlowConsumerError) context.cutOff();
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
}

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
