import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataDirInUseError, openDataDir, readOrCreateSecret } from '../../src/dev/embedded/data-dir.js';

describe('openDataDir', () => {
  let folder: string;
  const lock = () => join(folder, 'lock');
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'fairway-data-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('refuses a folder that a living process holds', async () => {
    await openDataDir(folder);

    await expect(openDataDir(folder)).rejects.toThrow(DataDirInUseError);
  });

  it('takes the folder once it is released', async () => {
    const held = await openDataDir(folder);
    held.release();

    await expect(openDataDir(folder)).resolves.toMatchObject({ path: folder });
  });

  it('waits for a process that is stopping', async () => {
    const held = await openDataDir(folder);
    held.announceStop();
    const next = openDataDir(folder);
    held.release();

    await expect(next).resolves.toMatchObject({ path: folder });
  });

  it('takes over from a process that is gone', async () => {
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    writeFileSync(lock(), JSON.stringify({ pid, startedAt: '1@boot', stopping: false }));

    await openDataDir(folder);
    expect(JSON.parse(readFileSync(lock(), 'utf8')).pid).toBe(process.pid);
  });

  it('takes over when another process has the same number by now', async () => {
    writeFileSync(lock(), JSON.stringify({ pid: process.ppid, startedAt: '1@another boot', stopping: false }));

    await expect(openDataDir(folder)).resolves.toBeDefined();
  });

  it('takes over from a lock that cannot be read', async () => {
    writeFileSync(lock(), '{"pid":');

    await expect(openDataDir(folder)).resolves.toBeDefined();
  });
});

describe('readOrCreateSecret', () => {
  it('creates a secret once, readable only by its owner', () => {
    const folder = mkdtempSync(join(tmpdir(), 'fairway-data-'));
    const secret = readOrCreateSecret(folder, 'secret');

    expect(Buffer.byteLength(secret)).toBeGreaterThanOrEqual(32);
    expect(readOrCreateSecret(folder, 'secret')).toBe(secret);
    expect(statSync(join(folder, 'secret')).mode & 0o777).toBe(0o600);
    rmSync(folder, { recursive: true });
  });
});
