/**
 * Runs one step. If it takes more than a second, prints its name after that second, and its duration at the end. Prints to
 * stderr, so that stdout has only the command's output.
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
