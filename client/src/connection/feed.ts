import type { Environment } from '../environment/environment.js';
import { asFairwayError, type FairwayError, isFinal } from '../errors.js';
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
  /** The subscription has ended for good: the membership has, or the server refuses it. Without this, it is tried again. */
  gone?(error: FairwayError): void;
}

export interface Feed {
  /** Subscribes again from the beginning: an event is missing, or what is known must be read again. */
  restart(): void;
  stop(): void;
}

/** A subscription that lived this long was a success. */
const steadyMs = 10_000;

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
  let begunAt = 0;
  /** Whether the last subscription was begun again although it had hardly lived. */
  let isHasty = false;

  const halt = () => {
    turn += 1;
    cancelRetry();
    unsubscribe();
    unsubscribe = () => {};
  };
  const begin = () => {
    halt();
    const current = line;
    begunAt = environment.now();
    if (current !== undefined) run(current, turn).catch(() => undefined);
  };
  /** The first time at once; if it does not help, with growing pauses. */
  const restart = () => {
    const isSteady = Math.abs(environment.now() - begunAt) >= steadyMs;
    if (isSteady) backoff.reset();
    if (isSteady || !isHasty) {
      isHasty = !isSteady;
      begin();
    } else {
      halt();
      options.stale();
      cancelRetry = environment.setTimer(begin, backoff.next());
    }
  };
  const run = async (current: Line, mine: number) => {
    const isCurrent = () => mine === turn;
    try {
      const { document, variables } = await options.prepare({ isCurrent, isPolling, line: current });
      if (!isCurrent()) return;
      isPolling = false;
      unsubscribe = current.subscribe(document, variables, {
        next: (result) => {
          if (isCurrent()) options.next(result);
        },
        end: (error) => isCurrent() && ended(error),
      });
    } catch (error) {
      if (isCurrent()) ended(asFairwayError(error));
    }
  };
  const ended = (error: FairwayError | undefined) => {
    halt();
    if (error !== undefined && isFinal(error) && options.gone !== undefined) {
      stop();
      options.gone(error);
      return;
    }
    if (error !== undefined) connection.noteRefusal(error);
    if (isStopped) return;
    isPolling = error?.code === 'NO_ANSWER';
    if (isPolling) options.polled?.();
    else options.stale();
    const isSteady = Math.abs(environment.now() - begunAt) >= steadyMs;
    if (isSteady) backoff.reset();
    // A stream that has lived its time goes on at once.
    const pauseMs = isSteady && error?.code === 'UNAVAILABLE' ? 0 : backoff.next();
    cancelRetry = environment.setTimer(begin, error?.retryAfterMs ?? pauseMs);
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
  return { restart, stop };
}
