import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { query, type TestDatabase } from './database.js';
import { newFolder, startServer } from './own-postgres.js';
import { startTcpProxy } from './tcp-proxy.js';

/** A PostgreSQL that can be restored to an earlier state. It keeps its address, and cuts its connections. */
export interface RestorablePostgres {
  readonly database: TestDatabase;
  backUp(): Promise<void>;
  /**
   * Restores the state of the backup: with `newTimeline` as a recovery from a base backup does, otherwise as a snapshot of the
   * disk does, which the server does not show.
   */
  restore(options: { newTimeline: boolean }): Promise<void>;
}

export async function startRestorablePostgres(): Promise<RestorablePostgres> {
  const folder = newFolder();
  const backup = `${folder}.backup`;
  let server = await startServer(folder);
  const proxy = await startTcpProxy(server.url);
  const whileStopped = async (act: () => void) => {
    await proxy.cut();
    await server.stop();
    act();
    server = await startServer(folder);
    proxy.redirect(server.url);
    await proxy.restore();
  };
  return {
    database: {
      url: proxy.url,
      query: (sql, values) => query(server.url, sql, values),
      drop: async () => {
        await proxy.stop();
        await server.stop();
        for (const each of [folder, backup]) rmSync(each, { recursive: true, force: true });
      },
    },
    backUp: () =>
      whileStopped(() => {
        rmSync(backup, { recursive: true, force: true });
        execFileSync('cp', ['-a', folder, backup]);
      }),
    restore: ({ newTimeline }) =>
      whileStopped(() => {
        rmSync(folder, { recursive: true });
        execFileSync('cp', ['-a', backup, folder]);
        if (!newTimeline) return;
        const data = join(folder, 'postgres/data');
        writeFileSync(join(data, 'recovery.signal'), '');
        writeFileSync(join(data, 'postgresql.auto.conf'), `restore_command = 'false'\n`);
      }),
  };
}
