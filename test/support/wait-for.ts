import { setTimeout as delay } from 'node:timers/promises';

interface WaitOptions {
  /** The name of the condition in the error: "the second message". */
  readonly what: string;
  readonly timeoutMs?: number;
  readonly pollMs?: number;
}

/**
 * How long tests wait for what comes at once on a machine of their own. On a busy one, it may take twenty times as long, and a
 * longer limit costs nothing where the condition is met.
 */
export const patienceMs = 90_000;

/**
 * Resolves with the first value of `condition` that is neither undefined, null nor false.
 * @throws {Error} at the timeout, with `what` and, if `condition` throws, its error as the cause
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { what, timeoutMs = patienceMs, pollMs = 20 }: WaitOptions,
): Promise<Exclude<T, undefined | null | false>> {
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value !== undefined && value !== null && value !== false)
        return value as Exclude<T, undefined | null | false>;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`Waited ${timeoutMs} ms in vain for ${what}`, { cause: lastError });
    }
    await delay(pollMs);
  }
}
