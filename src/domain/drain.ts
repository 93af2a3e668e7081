const pollMs = 10;

/** Resolves once `isIdle` returns true, or after `maxMs`, so that running work cannot delay a stop any longer. */
export async function drain(isIdle: () => boolean, maxMs: number): Promise<void> {
  const deadline = performance.now() + maxMs;
  while (!isIdle() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, pollMs));
}
