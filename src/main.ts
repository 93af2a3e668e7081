import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { startApp } from './app.js';
import { type Config, readConfig } from './config.js';
import { migrate } from './db/migrate.js';
import { startEmbeddedServers } from './dev/embedded/embedded-servers.js';
import { reportSlowStep } from './dev/report-slow-step.js';
import { seedDemo } from './dev/seed-demo.js';
import { printWelcome } from './dev/welcome.js';
import { Lifecycle, StartInterruptedError } from './lifecycle.js';
import { createLog } from './log.js';
import { schema } from './schema/index.js';
import { TrustedDocuments } from './server/graphql/documents/trusted-documents.js';
import { assertCanListen } from './server/http/listen-check.js';
import { describeStartError } from './start-error.js';

/** For the native clients. */
const ownOperations = fileURLToPath(new URL('../clients/operations', import.meta.url));
const migrationsDir = fileURLToPath(new URL('../prisma/migrations', import.meta.url));

/** Starts the parts of the server in order; the lifecycle stops them in reverse order. */
async function start(config: Config, log: Logger, lifecycle: Lifecycle): Promise<void> {
  await lifecycle.startStep(() => assertCanListen(config.port, config.host));
  const documents = await lifecycle.startStep(async () => registerDocuments(config, log));
  const complete = await lifecycle.startStep(() => provideServers(config, log, lifecycle));
  const { url } = complete.database;
  await lifecycle.startStep((signal) =>
    reportSlowStep('Migrating the database', () => migrate(url, migrationsDir, { log, signal })),
  );
  if (config.embedded)
    await lifecycle.startStep(() =>
      reportSlowStep('Writing the demo', () => seedDemo(url, { language: config.language })),
    );

  const port = await lifecycle.startStep(async () => {
    const app = await startApp(complete, documents, log);
    lifecycle.onStop({ name: 'the server', stop: () => app.stop() });
    return app.port;
  });
  if (config.embedded) printWelcome(config, port);
  log.info({ host: config.host, port }, 'Serving');
  process.send?.({ type: 'ready', port });
}

/** Before anything is started: a manifest that cannot be used leaves the database as it is. */
function registerDocuments({ trustedDocuments, introspection, limits }: Config, log: Logger): TrustedDocuments {
  const documents = new TrustedDocuments({
    ...limits,
    ...trustedDocuments,
    introspection,
    schema,
    own: [ownOperations],
  });
  const { size, interpreted } = documents;
  log.info({ documents: size, interpreted }, 'Documents are registered');
  return documents;
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
