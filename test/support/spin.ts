/**
 * Keeps the event loop busy until this process has used so many milliseconds of the processor, and as many have passed. Time
 * in which another program has the processor does not count, as it does not for `Slices`.
 */
export function spin(ms: number): void {
  const startedAt = performance.now();
  const usageBefore = process.cpuUsage();
  for (;;) {
    const { user, system } = process.cpuUsage(usageBefore);
    if (user + system >= ms * 1_000 && performance.now() - startedAt >= ms) return;
  }
}
