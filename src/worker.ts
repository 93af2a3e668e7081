import { startApp } from './app.js';
import { Lifecycle, StartInterruptedError } from './lifecycle.js';
import { createLog } from './log.js';
import { registerDocuments } from './register-documents.js';
import { describeStartError } from './start-error.js';
import { PrimaryLink } from './workers/primary-link.js';

/** A terminal sends these to the whole process group: the primary process stops its workers then. */
const terminalSignals = ['SIGINT', 'SIGHUP'] as const;

/** The file of a worker: an instance that gets everything from the primary process, and reads no environment. */
async function work(): Promise<void> {
  const primary = new PrimaryLink();
  const { number, config } = await primary.assignment;
  const log = createLog(config.logLevel, number);
  const lifecycle = new Lifecycle(log);
  lifecycle.listen({ ignored: terminalSignals });
  primary.onStop(() => void lifecycle.stop(0));
  try {
    const documents = await lifecycle.startStep(async () => registerDocuments(config, log));
    const app = await lifecycle.startStep(async () => {
      const prepared = await startApp(config, documents, log, { number, primary });
      lifecycle.onStop({ name: 'the server', stop: () => prepared.stop() });
      return prepared;
    });
    log.info('Prepared; all workers begin to serve together');
    await lifecycle.startStep((signal) => primary.waitForAll(signal));
    const port = await lifecycle.startStep(() => app.listen());
    log.info({ host: config.host, port }, 'Serving');
    await primary.send({ type: 'ready', port });
  } catch (error) {
    if (error instanceof StartInterruptedError) return; // the lifecycle is stopping
    const reason = describeStartError(error, config);
    if (reason === undefined) log.fatal({ err: error }, 'A worker could not start');
    else await primary.send({ type: 'failed', reason });
    await lifecycle.stop(1);
  }
}

await work();
