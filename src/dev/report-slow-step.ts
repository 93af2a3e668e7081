const announceAfterMs = 1_000;

/** Runs one step. If it takes more than a second, prints its name to stderr after that second, and its duration at the end. */
export async function reportSlowStep<T>(what: string, run: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  let announced = false;
  const timer = setTimeout(() => {
    announced = true;
    process.stderr.write(`  ${what} ...\n`);
  }, announceAfterMs);
  try {
    return await run();
  } finally {
    clearTimeout(timer);
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    if (announced || Number(seconds) >= 1) process.stderr.write(`  ${what}: ${seconds} s\n`);
  }
}
