import pg from 'pg';
import { pino } from 'pino';
import { type MockInstance, vi } from 'vitest';
import { type App, startApp } from '../../src/app.js';
import { type CompleteConfig, readConfig } from '../../src/config.js';
import { schema } from '../../src/schema/index.js';
import { TrustedDocuments } from '../../src/server/graphql/documents/trusted-documents.js';
import type { TestDatabase } from './database.js';
import { testSecret } from './instance.js';
import type { TestNats } from './nats.js';

/** Starts an instance in this process, so that its statements can be counted. */
export async function startOwnApp(
  { database, nats }: { readonly database: TestDatabase; readonly nats: TestNats },
  env: Readonly<Record<string, string>> = {},
): Promise<Pick<App, 'stop'> & { readonly url: string }> {
  const config = readConfig({
    DATABASE_URL: database.url,
    NATS_URL: nats.url,
    NATS_USER: nats.user,
    NATS_PASSWORD: nats.password,
    AUTH_JWT_SECRET: testSecret,
    HOST: '127.0.0.1',
    PORT: '0',
    ...env,
  }) as CompleteConfig;
  const { limits, introspection } = config;
  const documents = new TrustedDocuments({ ...limits, introspection, schema, own: [], manifests: [], only: false });
  const { listen, stop } = await startApp(config, documents, pino({ level: 'silent' }));
  return { stop, url: `http://127.0.0.1:${await listen()}` };
}

/** Runs `work`, and returns the texts of the statements that this process sent to PostgreSQL meanwhile. */
export async function statementsOf(work: () => Promise<unknown>): Promise<string[]> {
  const query = vi.spyOn(pg.Client.prototype, 'query') as unknown as MockInstance;
  try {
    await work();
    return query.mock.calls.map(([statement]) => (statement as { text: string }).text);
  } finally {
    query.mockRestore();
  }
}
