import type { FairwayError } from '../errors.js';

/** Receives the results of one operation. */
export interface Sink<Result> {
  next(result: Result): void;
  /** Called once: with an error, or without one if the server has completed the operation. Never after it was stopped here. */
  end(error?: FairwayError): void;
}

/** A typed document; its text is what `String` makes of it. */
export interface Operation<Result, Variables> {
  toString(): string;
  readonly __apiType?: ((variables: Variables) => Result) | undefined;
}

export type Transport = 'websocket' | 'sse' | 'polling';

/** A way on which subscriptions arrive, from its opening to its end. */
export interface Line {
  readonly transport: Transport;
  /** Returns how to stop. */
  subscribe<Result, Variables>(
    document: Operation<Result, Variables>,
    variables: Variables,
    sink: Sink<Result>,
  ): () => void;
}
