export interface Loop {
  /** Starts no further run, from this moment on. Resolves when the run under way has ended. */
  stop(): Promise<void>;
}

export interface EveryOptions {
  /** The first run starts now, not after the first interval. */
  readonly atOnce?: boolean;
  /** Called with what a run throws. Without it, the error is unhandled, like one of a plain timer. */
  readonly onError?: (error: unknown) => void;
}

/**
 * Runs the action every `ms` until it is stopped: never two runs at a time, and on after one that failed. A run that is due
 * while another one is under way is skipped. It does not keep the process alive.
 */
export function every(
  ms: number,
  action: () => void | Promise<void>,
  { atOnce = false, onError }: EveryOptions = {},
): Loop {
  let running: Promise<void> | undefined;
  const run = async () => {
    try {
      await action();
    } catch (error) {
      if (onError === undefined) throw error;
      onError(error);
    }
  };
  const tick = () => {
    running ??= run().finally(() => {
      running = undefined;
    });
  };
  const timer = setInterval(tick, ms).unref();
  if (atOnce) tick();
  return {
    stop: async () => {
      clearInterval(timer);
      await running;
    },
  };
}
