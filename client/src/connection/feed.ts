import type { Environment } from '../environment/environment.js';
import { asFairwayError, type FairwayError } from '../errors.js';
import { Backoff } from './backoff.js';
import type { Connection } from './connection.js';
import type { Line, Operation } from './line.js';

/** One subscription with what has to be read before it. */
export interface FeedStep<Result, Variables> {
  readonly document: Operation<Result, Variables>;
  readonly variables: Variables;
}

export interface FeedTurn {
  /** False once another turn has begun, or the feed was stopped: what was read is not needed any more. */
  isCurrent(): boolean;
  /** Whether no events have arrived since the turn before, and everything must be read. */
  readonly isPolling: boolean;
  readonly line: Line;
}

interface FeedOptions<Result, Variables> {
  readonly environment: Environment;
  readonly connection: Connection;
  /**
   * Reads what the subscription continues from, and says what to subscribe to. Called for each new line, and after each end.
   * It may throw: then it is called again later.
   */
  prepare(turn: FeedTurn): Promise<FeedStep<Result, Variables>>;
  next(result: Result): void;
  /** No events arrive on this line, but what `prepare` has read is current. */
  polled?(): void;
  /** Events do not arrive at the moment. */
  stale(): void;
  /** The subscription has ended for good: the membership has, or the server refuses it. */
  gone(error: FairwayError): void;
}

export interface Feed {
  /** Subscribes again from the beginning: an event is missing, or what is known must be read again. */
  restart(): void;
  stop(): void;
}

/** Keeps one subscription alive across lines, refusals and ends, until it is stopped or gone. */
export function createFeed<Result, Variables>(options: FeedOptions<Result, Variables>): Feed {
  const { environment, connection } = options;
  const backoff = new Backoff(environment);
  let line: Line | undefined;
  let turn = 0;
  let unsubscribe = () => {};
  let cancelRetry = () => {};
  let isStopped = false;
  let isPolling = false;

  const halt = () => {
    turn += 1;
    cancelRetry();
    unsubscribe();
    unsubscribe = () => {};
  };
  const begin = () => {
    halt();
    const current = line;
    if (current !== undefined) run(current, turn).catch(() => undefined);
  };
  const run = async (current: Line, mine: number) => {
    const isCurrent = () => mine === turn;
    try {
      const { document, variables } = await options.prepare({ isCurrent, isPolling, line: current });
      if (!isCurrent()) return;
      isPolling = false;
      unsubscribe = current.subscribe(document, variables, {
        next: (result) => {
          if (!isCurrent()) return;
          backoff.reset();
          options.next(result);
        },
        end: (error) => isCurrent() && ended(error),
      });
    } catch (error) {
      if (isCurrent()) ended(asFairwayError(error));
    }
  };
  const ended = (error: FairwayError | undefined) => {
    halt();
    if (error?.code === 'FORBIDDEN' || error?.code === 'NOT_FOUND' || error?.code === 'BAD_USER_INPUT') {
      stop();
      return options.gone(error);
    }
    if (error !== undefined) connection.noteRefusal(error);
    if (isStopped) return;
    isPolling = error?.code === 'NO_ANSWER';
    if (isPolling) options.polled?.();
    else options.stale();
    cancelRetry = environment.setTimer(begin, error?.retryAfterMs ?? backoff.next());
  };
  const release = connection.follow({
    online: (opened) => {
      line = opened;
      begin();
    },
    offline: () => {
      line = undefined;
      isPolling = false;
      halt();
      options.stale();
    },
  });
  const stop = () => {
    if (isStopped) return;
    isStopped = true;
    halt();
    release();
  };
  return { restart: begin, stop };
}
