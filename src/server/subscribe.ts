import { createSourceEventStream, type ExecutionArgs, type ExecutionResult, execute, GraphQLError } from 'graphql';
import { SlowConsumerError } from '../domain/errors.js';
import type { RequestContext } from './context.js';

/**
 * `subscribe` of graphql with two differences. Each event is executed with a context of its own, because loaders keep
 * what they loaded. And the result is no async generator: `return()` reaches the source at once, also while `next()`
 * waits for it. An error of the source is the last result; the stream ends behind it.
 */
export async function subscribe(
  args: ExecutionArgs,
): Promise<ExecutionResult | AsyncIterableIterator<ExecutionResult>> {
  const source = await createSourceEventStream(args);
  if (!(Symbol.asyncIterator in source)) return source;
  const events = source[Symbol.asyncIterator]();
  let isEnded = false;
  const results: AsyncIterableIterator<ExecutionResult> = {
    [Symbol.asyncIterator]: () => results,
    async next() {
      if (isEnded) return { done: true, value: undefined };
      try {
        const event = await events.next();
        if (event.done === true) return { done: true, value: undefined };
        const contextValue: unknown = Object.create(args.contextValue as object);
        return { done: false, value: await execute({ ...args, rootValue: event.value, contextValue }) };
      } catch (error) {
        isEnded = true;
        if (error instanceof SlowConsumerError) (args.contextValue as RequestContext).cutOff();
        const originalError = error instanceof Error ? error : new Error(String(error));
        return { done: false, value: { errors: [new GraphQLError(originalError.message, { originalError })] } };
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
