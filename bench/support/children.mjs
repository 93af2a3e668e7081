import { residentBytes, treeOf } from './process-usage.mjs';

const lookMs = 10;

/**
 * Does the work, and watches the processes that this one starts for it. Linux only.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<{ result: T, ms: number, largestMb: number }>} `largestMb`: the resident set of the largest process
 */
export async function watchChildren(work) {
  const before = new Set(childrenOf());
  let largest = 0;
  const look = () => {
    for (const pid of childrenOf()) if (!before.has(pid)) largest = Math.max(largest, bytesOf(pid));
  };
  const timer = setInterval(look, lookMs);
  const startedAt = performance.now();
  try {
    const result = await work();
    return { result, ms: performance.now() - startedAt, largestMb: largest / 2 ** 20 };
  } finally {
    clearInterval(timer);
  }
}

const childrenOf = () =>
  treeOf(process.pid)
    .map(({ pid }) => pid)
    .filter((pid) => pid !== process.pid);

/** @param {number} pid */
function bytesOf(pid) {
  try {
    return residentBytes(pid) || 0;
  } catch {
    // It has ended meanwhile.
    return 0;
  }
}
