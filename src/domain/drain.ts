const pollMs = 10;

/** Resolves once `isIdle`, or after `maxMs`: a stop does not wait longer for what is under way. */
export async function drain(isIdle: () => boolean, maxMs: number): Promise<void> {
  const deadline = performance.now() + maxMs;
  while (!isIdle() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, pollMs));
}
