import { linkSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Runs `work` while no other process does so under the same lock file. The lock of a process that is gone, or whose
 * number another process has by now, counts for nothing.
 * @template T
 * @param {string} path
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(path, work) {
  const mine = JSON.stringify({ pid: process.pid, startedAt: startTimeOf(process.pid) });
  let told = false;
  while (!tryTake(path, mine)) {
    if (!told) process.stderr.write('  Waiting for another set-up in this folder ...\n');
    told = true;
    await delay(100);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

/**
 * @param {string} path
 * @param {string} mine
 */
function tryTake(path, mine) {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, mine);
  try {
    // A link appears with its content, so nobody ever reads a lock that is half written.
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error;
    dropIfStale(path);
    return false;
  } finally {
    unlinkSync(draft);
  }
}

/** @param {string} path */
function dropIfStale(path) {
  const seen = readIfThere(path);
  if (seen === undefined || isHeld(seen)) return;
  const aside = `${path}.${process.pid}.stale`;
  try {
    renameSync(path, aside);
    // Somebody else may have replaced the stale lock in between: then this one is alive and goes back.
    if (readIfThere(aside) !== seen) linkSync(aside, path);
  } catch {
    // Another process was quicker; the next try sees what it left.
  }
  rmSync(aside, { force: true });
}

/** @param {string} lock */
function isHeld(lock) {
  try {
    const { pid, startedAt } = JSON.parse(lock);
    process.kill(pid, 0);
    return startTimeOf(pid) === startedAt;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/**
 * When a process started, in the kernel's ticks: with its number, an identity that is never used twice since boot.
 * @param {number} pid
 * @returns {string | undefined} undefined where there is no /proc
 */
function startTimeOf(pid) {
  // The second field may hold spaces and parentheses; the rest is counted from the last one. See proc(5).
  const afterName = readIfThere(`/proc/${pid}/stat`)?.split(')').at(-1)?.trim().split(' ');
  return afterName?.[19];
}

/** @param {string} path */
function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
