import { linkSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Runs `work` while holding the lock file; other processes with the same file wait. Ignores the lock of a process that has
 * ended, even if another process has its number by now.
 * @template T
 * @param {string} path
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(path, work) {
  const mine = JSON.stringify({ pid: process.pid, startedAt: startTimeOf(process.pid) });
  let isAnnounced = false;
  while (!tryTake(path, mine)) {
    if (!isAnnounced) process.stderr.write('  Waiting for another set-up in this folder ...\n');
    isAnnounced = true;
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
    // A hard link appears with its content, so no process can read a half-written lock.
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
    // Another process may have replaced the stale lock in between: then this one is in use and is put back.
    if (readIfThere(aside) !== seen) linkSync(aside, path);
  } catch {
    // Another process was faster; the next try sees its lock.
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
 * The start time of a process in the kernel's ticks. With the process number, it is unique since boot.
 * @param {number} pid
 * @returns {string | undefined} undefined without /proc
 */
function startTimeOf(pid) {
  // The second field may contain spaces and parentheses, so fields are counted from the last parenthesis. See proc(5).
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
