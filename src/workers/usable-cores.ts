import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, posix } from 'node:path';

/**
 * How many whole CPU cores this process may use, at least 1: those that its affinity allows, or fewer if a control group of
 * Linux limits its CPU time, as containers do. Node 20 itself does not see such a limit.
 * @param root - the folder with `proc` and `sys`
 */
export function countUsableCores(root = '/'): number {
  return Math.max(1, Math.floor(Math.min(availableParallelism(), readCpuLimit(root))));
}

/** The smallest limit of the process's control groups and those above them, in cores; infinite without one. */
function readCpuLimit(root: string): number {
  const limits = readText(join(root, 'proc/self/cgroup'))
    .split('\n')
    .flatMap((line) => limitsOf(root, line));
  return Math.min(Number.POSITIVE_INFINITY, ...limits);
}

/** A line is `0::/path` in version 2, and `4:cpu,cpuacct:/path` in version 1. */
function limitsOf(root: string, line: string): number[] {
  const [, id, controllers = '', path = ''] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? [];
  const mount = join(root, 'sys/fs/cgroup');
  if (id === '0') return pathsUp(path).map((group) => toCores(readText(join(mount, group, 'cpu.max'))));
  if (!controllers.split(',').includes('cpu')) return [];
  return pathsUp(path).map((group) => {
    const read = (file: string) => readText(join(mount, controllers, group, file)).trim();
    return toCores(`${read('cpu.cfs_quota_us')} ${read('cpu.cfs_period_us')}`);
  });
}

/** `/a/b`, `/a` and `/`. */
function pathsUp(path: string): string[] {
  const parent = posix.dirname(path);
  return parent === path ? [path] : [path, ...pathsUp(parent)];
}

/** `150000 100000` is one core and a half; `max` and `-1` are no limit. */
function toCores(quota: string): number {
  const [time, period] = quota.trim().split(' ').map(Number);
  return time !== undefined && period !== undefined && time > 0 && period > 0
    ? time / period
    : Number.POSITIVE_INFINITY;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
