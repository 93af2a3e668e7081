import type { Environment } from './environment/environment.js';

/** React unmounts and mounts again at once, and a page that is left is often entered again. */
const lingerMs = 3_000;

/** Runs something while it is watched, and a little longer. */
export interface Linger {
  setWatched(isWatched: boolean): void;
  /** Ends at once, whoever watches. */
  end(): void;
}

export function createLinger(environment: Environment, start: () => void, stop: () => void): Linger {
  let isRunning = false;
  let cancel = () => {};
  const end = () => {
    cancel();
    if (!isRunning) return;
    isRunning = false;
    stop();
  };
  return {
    setWatched: (isWatched) => {
      cancel();
      if (!isWatched) {
        if (isRunning) cancel = environment.setTimer(end, lingerMs);
      } else if (!isRunning) {
        isRunning = true;
        start();
      }
    },
    end,
  };
}
