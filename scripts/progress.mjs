/**
 * Runs one step and tells about it only if it takes over a second: a line when that second is over, and its duration
 * at the end. Everything goes to stderr, so that stdout stays the command's own.
 * @template T
 * @param {string} what present participle: "Installing packages"
 * @param {() => Promise<T>} run
 * @returns {Promise<T>}
 */
export async function step(what, run) {
  const startedAt = performance.now();
  let announced = false;
  const timer = setTimeout(() => {
    announced = true;
    process.stderr.write(`  ${what} ...\n`);
  }, 1_000);
  try {
    const result = await run();
    if (announced) process.stderr.write(`  ${what}: ${((performance.now() - startedAt) / 1_000).toFixed(1)} s\n`);
    return result;
  } finally {
    clearTimeout(timer);
  }
}
