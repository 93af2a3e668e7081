export interface Loop {
  /** Starts no more runs. Resolves when the current run has ended. */
  stop(): Promise<void>;
}

export interface EveryOptions {
  /** The first run starts now, not after the first interval. */
  readonly atOnce?: boolean;
  /** Called with the error of a failed run. Without it, the error is unhandled, as in a plain timer. */
  readonly onError?: (error: unknown) => void;
}

/**
 * Runs the action every `ms` until it is stopped, also after a failed run. There is only one run at a time: a run that is due
 * during another one is skipped. The timer does not keep the process alive.
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
