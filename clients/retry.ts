/** The request has not arrived, or the server was not ready for it: the same one may succeed later. */
const temporary: ReadonlySet<string> = new Set(['NETWORK', 'UNAVAILABLE', 'RATE_LIMITED']);
const maxRepeats = 5;

/**
 * Repeats a request that failed with NETWORK, UNAVAILABLE or RATE_LIMITED, at most five times in about 15 s: after the pause
 * that the server asks for, or one that doubles. Only for a request that may arrive twice, like a message with its id.
 * @throws the error of the last attempt, or at once one with another code
 */
export async function withRetries<T>(
  attempt: () => Promise<T>,
  codeOf: (error: unknown) => string,
  retryAfterMsOf: (error: unknown) => number | undefined,
): Promise<T> {
  for (let repeats = 0; ; repeats += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (repeats === maxRepeats || !temporary.has(codeOf(error))) throw error;
      const pauseMs = retryAfterMsOf(error) ?? (0.5 + Math.random()) * 500 * 2 ** repeats;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
