import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** The unit in which Linux reports times, whatever the kernel's own clock. */
const ticksPerSecond = 100;

/**
 * The CPU time that a process has used so far, user and system, in seconds.
 * @param {number} pid
 */
export function cpuSeconds(pid) {
  if (process.platform !== 'linux') return parseTime(ask(pid, 'time='));
  // The second field may contain spaces and parentheses, so fields are counted from the last parenthesis. See proc(5).
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(')').at(-1)?.trim().split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/**
 * The CPU time of a process and its children so far, including children that have ended, in seconds: the connections of
 * PostgreSQL and the workers of Fairway are processes. Linux only.
 * @param {number} pid
 */
export function treeCpuSeconds(pid) {
  return treeOf(pid).reduce((sum, { own, ended }) => sum + own + ended, 0) / ticksPerSecond;
}

/** The resident sets of a process and its children, in bytes. Linux only. @param {number} pid */
export const treeResidentBytes = (pid) => treeOf(pid).reduce((sum, process) => sum + residentBytes(process.pid), 0);

/** @param {number} pid */
export const treeOf = (pid) =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readStat(Number(name)) ?? [])
    .filter((stat) => stat.pid === pid || stat.parent === pid);

/** Undefined if the process has ended meanwhile. @param {number} pid */
function readStat(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(')').at(-1)?.trim().split(' ').map(Number) ?? [];
    const at = (/** @type {number} */ index) => fields[index] ?? 0;
    return { pid, parent: at(1), own: at(11) + at(12), ended: at(13) + at(14) };
  } catch {
    return undefined;
  }
}

/**
 * The resident set of a process, in bytes.
 * @param {number} pid
 */
export function residentBytes(pid) {
  if (process.platform !== 'linux') return Number(ask(pid, 'rss=')) * 1024;
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

/** @param {number} pid @param {string} field */
const ask = (pid, field) => spawnSync('ps', ['-o', field, '-p', String(pid)], { encoding: 'utf8' }).stdout.trim();

/** Reads `12:34.56` or `1-02:03:04`, in seconds. */
function parseTime(/** @type {string} */ text) {
  const [clock = '', days = '0'] = text.split('-').reverse();
  return clock.split(':').reduce((total, part) => total * 60 + Number(part), 0) + Number(days) * 86_400;
}
