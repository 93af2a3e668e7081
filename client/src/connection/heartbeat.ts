import type { Environment } from '../environment/environment.js';

/** After this silence the peer is pinged. With the answer's time, a dead link is noticed within 18 s. */
const silenceMs = 10_000;
const answerMs = 8_000;

/** Watches that a socket still lives. */
export interface Heartbeat {
  /** Something has arrived. */
  heard(): void;
  /** Pings now; the socket counts as dead if nothing arrives in time. */
  check(withinMs: number): void;
  stop(): void;
}

export function createHeartbeat(environment: Environment, ping: () => void, onDead: () => void): Heartbeat {
  let cancelSilence = () => {};
  let cancelAnswer: (() => void) | undefined;
  let answerBy = 0;
  const listen = () => {
    cancelSilence();
    cancelSilence = environment.setTimer(() => check(answerMs), silenceMs);
  };
  const check = (withinMs: number) => {
    const by = environment.now() + withinMs;
    // An earlier ping may have longer to answer than this one.
    if (cancelAnswer !== undefined && answerBy <= by) return;
    cancelAnswer?.();
    answerBy = by;
    cancelAnswer = environment.setTimer(onDead, withinMs);
    ping();
  };
  listen();
  return {
    heard: () => {
      cancelAnswer?.();
      cancelAnswer = undefined;
      listen();
    },
    check,
    stop: () => {
      cancelSilence();
      cancelAnswer?.();
    },
  };
}
