import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { countUsableCores } from '../../src/workers/usable-cores.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'fairway-cores-'));
});
afterEach(() => rmSync(root, { recursive: true }));

const write = (files: Readonly<Record<string, string>>) => {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), `${text}\n`);
  }
};

it('are those that the system offers, without control groups and without limits in them', () => {
  expect(countUsableCores(root)).toBe(availableParallelism());

  write({ 'proc/self/cgroup': '0::/', 'sys/fs/cgroup/cpu.max': 'max 100000' });
  expect(countUsableCores(root)).toBe(availableParallelism());
});

it.each([
  ['in a container', { 'proc/self/cgroup': '0::/', 'sys/fs/cgroup/cpu.max': '150000 100000' }],
  [
    'by a group above the own one',
    {
      'proc/self/cgroup': '0::/app.slice/chat.service',
      'sys/fs/cgroup/app.slice/cpu.max': '100000 100000',
      'sys/fs/cgroup/app.slice/chat.service/cpu.max': 'max 100000',
    },
  ],
  [
    'in version 1',
    {
      'proc/self/cgroup': '5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '50000',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000',
    },
  ],
])('are limited by the CPU time of the control group: %s', (_where, files) => {
  write(files);

  expect(countUsableCores(root)).toBe(1);
});
