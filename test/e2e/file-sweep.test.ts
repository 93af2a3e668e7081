import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TestClient } from '../support/client.js';
import { announce, listFiles, makePhoto, makeText, put, upload, whenSettled } from '../support/files.js';
import type { Instance } from '../support/instance.js';
import { metricsEnv, readMetrics } from '../support/metrics.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const dayMs = 86_400_000;

describeWithNats('the sweep of the storage', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fairway-sweep-'));
  const world = useWorld({
    instances: 1,
    env: { ...metricsEnv, STORAGE_URL: `file:${folder}`, FILES_PER_MINUTE: '100000' },
  });
  let instance: Instance;
  let alice: TestClient;
  let roomId: string;
  beforeAll(async () => {
    [instance] = world.instances as [Instance];
    alice = await world.client(4);
    roomId = await alice.group(5);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }));

  const age = (path: string, days: number) => {
    const at = new Date(Date.now() - days * dayMs);
    utimesSync(path, at, at);
  };
  /** Writes an object that nobody knows. */
  const leave = (key: string, days: number): string => {
    mkdirSync(dirname(join(folder, key)), { recursive: true });
    writeFileSync(join(folder, key), 'left');
    age(join(folder, key), days);
    return key;
  };
  const isThere = (key: string) => existsSync(join(folder, key));

  /** Sweeps as in another hour, and resolves with the metrics: a new instance begins with it. */
  async function sweep(): Promise<{ orphans: number | undefined; missing: number | undefined }> {
    await world.database.query('DELETE FROM chat_file_sweeps');
    const sweeper = await world.start();
    const metrics = await waitFor(
      async () => {
        const found = await readMetrics(sweeper);
        return Number.isNaN(found.get('fairway_files_without_row')) ? undefined : found;
      },
      { what: 'the end of the sweep' },
    );
    await sweeper.stop();
    return {
      orphans: metrics.get('fairway_files_without_row'),
      missing: metrics.get('fairway_files_without_bytes'),
    };
  }

  it('counts bytes without a row and rows without bytes, and erases only what is old and of no use', async () => {
    const photo = await upload(instance, alice, roomId, await makePhoto());
    const [text, lost] = [
      await upload(instance, alice, roomId, makeText()),
      await upload(instance, alice, roomId, makeText()),
    ];
    const waiting = await announce(alice, roomId, makeText());
    await put(instance, waiting, makeText().bytes);
    await whenSettled(alice, photo.id);
    await waitFor(() => listFiles(folder, `files/${photo.id}/`).length === 4, { what: 'the thumbnails' });
    await waitFor(() => listFiles(folder, 'incoming/').length === 1, { what: 'the end of what was received' });
    const needed = listFiles(folder);
    for (const key of needed) age(join(folder, key), 30);
    await world.database.query(`UPDATE chat_attachments SET created_at = now() - interval '30 days', due_at = NULL`);
    rmSync(join(folder, `files/${lost.id}`), { recursive: true });

    const id = randomUUID();
    const old = [
      leave(`files/${id}/original`, 8),
      leave(`files/${id}/small`, 8),
      leave(`files/${photo.id}/received`, 8),
      leave(`incoming/${text.id}`, 8),
      // Of a completion that was not the first.
      leave(`files/${text.id}/received-${id}`, 8),
      leave(`incoming/${id}`, 8),
      leave(`scratch/${id}`, 8),
    ];
    const young = [leave(`files/${randomUUID()}/received`, 6), leave(`scratch/${randomUUID()}`, 6)];
    const fresh = leave(`files/${randomUUID()}/received`, 0);
    const foreign = leave('lost+found/somebody', 100);

    expect(await sweep()).toEqual({ orphans: 2, missing: 1 });
    expect(old.filter(isThere)).toEqual([]);
    expect([...young, fresh, foreign].filter((key) => !isThere(key))).toEqual([]);
    expect(needed.filter((key) => !isThere(key) && !key.includes(lost.id))).toEqual([]);
    for (const key of young) rmSync(join(folder, key));
  });

  it('erases nothing after a restore, until `npm run restored` says that no other backup is to come', async () => {
    const newer = leave(`files/${randomUUID()}/original`, 20);
    await world.database.query('SELECT chat_begin_epoch(true)');
    expect(await sweep()).toMatchObject({ orphans: 1 });
    expect(isThere(newer)).toBe(true);
    const command = resolve(import.meta.dirname, '../../dist/commands/restored.js');
    execFileSync(process.execPath, [command], { env: { ...process.env, DATABASE_URL: world.database.url } });
    expect(await sweep()).toMatchObject({ orphans: 0 });
    expect(isThere(newer)).toBe(false);
  });

  it('also removes what work on pictures has left on this machine', async () => {
    const left = mkdtempSync(join(tmpdir(), 'fairway-picture-'));
    const used = mkdtempSync(join(tmpdir(), 'fairway-picture-'));
    age(left, 0.5);
    await sweep();
    expect([existsSync(left), existsSync(used)]).toEqual([false, true]);
    rmSync(used, { recursive: true });
  });
});
