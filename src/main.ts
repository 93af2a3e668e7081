import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { startApp } from './app.js';
import { type CompleteConfig, type Config, readConfig } from './config.js';
import { migrate } from './db/migrate.js';
import { startEmbeddedServers } from './dev/embedded/embedded-servers.js';
import { reportSlowStep } from './dev/report-slow-step.js';
import { seedDemo } from './dev/seed-demo.js';
import { printWelcome } from './dev/welcome.js';
import { FolderStorage } from './files/folder-storage.js';
import { folderOf } from './files/open-storage.js';
import type { Storage } from './files/storage.js';
import { Lifecycle, StartInterruptedError } from './lifecycle.js';
import { createLog } from './log.js';
import { registerDocuments } from './register-documents.js';
import type { TrustedDocuments } from './server/graphql/documents/trusted-documents.js';
import { assertCanListen } from './server/http/listen-check.js';
import { describeStartError } from './start-error.js';
import { WorkerPool, type WorkerStartError } from './workers/worker-pool.js';
import { canFork } from './workers/worker-process.js';

const migrationsDir = fileURLToPath(new URL('../prisma/migrations', import.meta.url));

/** Starts the parts of the server in order; the lifecycle stops them in reverse order. */
async function start(config: Config, log: Logger, lifecycle: Lifecycle): Promise<void> {
  await lifecycle.startStep(() => assertCanListen(config.port, config.host));
  // Before anything is started: a manifest that cannot be used leaves the database as it is.
  const documents = await lifecycle.startStep(async () => registerDocuments(config, log));
  const complete = await lifecycle.startStep(() => provideServers(config, log, lifecycle));
  const { url } = complete.database;
  await lifecycle.startStep((signal) =>
    reportSlowStep('Migrating the database', () => migrate(url, migrationsDir, { log, signal })),
  );
  if (config.embedded)
    await lifecycle.startStep(() =>
      reportSlowStep('Writing the demo', () =>
        seedDemo(url, { language: config.language, storage: openDemoStorage(config, log) }),
      ),
    );

  const workers = canFork ? config.workers : 1;
  const served = { ...complete, workers };
  const port = await lifecycle.startStep((signal) =>
    workers > 1 ? serveByWorkers(served, log, lifecycle, signal) : serve(served, documents, log, lifecycle),
  );
  if (config.embedded) printWelcome(config, port);
  log.info({ host: config.host, port, workers }, 'Serving');
  process.send?.({ type: 'ready', port });
}

/** Serves in this process. Resolves with the port. */
async function serve(config: CompleteConfig, documents: TrustedDocuments, log: Logger, lifecycle: Lifecycle) {
  const app = await startApp(config, documents, log);
  lifecycle.onStop({ name: 'the server', stop: () => app.stop() });
  return app.listen();
}

/** Serves in several processes, which this one starts and replaces. Resolves with the port. */
function serveByWorkers(config: CompleteConfig, log: Logger, lifecycle: Lifecycle, signal: AbortSignal) {
  const onLost = (error: WorkerStartError) => {
    log.fatal({ err: error }, 'No worker can start any more; stopping');
    void lifecycle.stop(1);
  };
  const pool = new WorkerPool({ config, log, onLost });
  lifecycle.onStop({ name: 'the workers', stop: () => pool.stop(), killNow: () => pool.killNow() });
  return pool.start(signal);
}

/** Returns the configuration with all addresses: servers without an address are started here. */
async function provideServers(config: Config, log: Logger, lifecycle: Lifecycle) {
  const { database, nats, auth } = config;
  if (database.url !== undefined && nats.url !== undefined) {
    return { ...config, database: { ...database, url: database.url } };
  }
  const servers = await startEmbeddedServers({
    dataDir: config.dataDir,
    log,
    postgres: database.url === undefined,
    nats: nats.url === undefined,
  });
  lifecycle.onStop({ name: 'the embedded servers', stop: servers.stop, killNow: servers.killNow });
  const keptSecret = auth.jwksUrl === undefined ? servers.authSecret : undefined;
  return {
    ...config,
    database: { ...database, url: servers.postgres?.url ?? (database.url as string) },
    nats: servers.nats === undefined ? nats : { ...nats, ...pickAddress(servers.nats) },
    auth: { ...auth, secret: auth.secret ?? keptSecret },
  };
}

/** The demo's pictures are written before anything is served, into a folder. */
function openDemoStorage({ files: { storageUrl } }: Config, log: Logger): Storage | undefined {
  if (storageUrl?.startsWith('file:') !== true) return undefined;
  const refuse = () => {
    throw new Error('Nobody uploads into the demo');
  };
  return new FolderStorage(folderOf(storageUrl), refuse, log);
}

const pickAddress = ({ url, user, password }: { url: string; user: string; password: string }) => ({
  url,
  user,
  password,
});

async function main(): Promise<void> {
  const config = readConfig(process.env);
  const log = createLog(config.logLevel);
  const lifecycle = new Lifecycle(log);
  lifecycle.listen();
  try {
    await start(config, log, lifecycle);
  } catch (error) {
    if (error instanceof StartInterruptedError) return; // the lifecycle is stopping
    report(error, config, log);
    await lifecycle.stop(1);
  }
}

/** Prints only the message of an error that the operator can fix; any other error is a bug and is logged with its stack. */
function report(error: unknown, config: Config | undefined, log: Logger): void {
  const text = describeStartError(error, config);
  if (text === undefined) log.fatal({ err: error }, 'Fairway could not start');
  else process.stderr.write(`${text}\n`);
}

try {
  await main();
} catch (error) {
  report(error, undefined, createLog());
  process.exitCode = 1;
}
