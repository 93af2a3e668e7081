import type { Logger } from 'pino';
import { reportSlowStep } from '../report-slow-step.js';
import { type DataDir, openDataDir, readOrCreateSecret } from './data-dir.js';
import { type EmbeddedNats, startNatsServer } from './nats-server.js';
import { type EmbeddedPostgres, startPostgres } from './postgres.js';

/** The servers that this process starts because the environment names none. */
export interface EmbeddedServers {
  readonly postgres: EmbeddedPostgres | undefined;
  readonly nats: EmbeddedNats | undefined;
  /** Signs tokens; stored, so that tokens stay valid after a restart. */
  readonly authSecret: string;
  /** Stops NATS, then PostgreSQL, and then releases the lock on the data folder. */
  stop(): Promise<void>;
  /** Ends the servers without waiting, for a process that is exiting. */
  killNow(): void;
}

interface EmbeddedOptions {
  readonly dataDir: string;
  readonly log: Logger;
  readonly postgres: boolean;
  readonly nats: boolean;
}

/** The file in the data folder with the secret for signing tokens. */
export const authSecretName = 'auth-secret';

/**
 * Starts the requested servers in parallel. If one fails, none is left running.
 * @throws {DataDirInUseError} and the errors of the servers
 */
export async function startEmbeddedServers(options: EmbeddedOptions): Promise<EmbeddedServers> {
  const dataDir = await openDataDir(options.dataDir);
  const { log } = options;
  const folder = { dataDir: dataDir.path, log };
  const [postgres, nats] = await Promise.allSettled([
    options.postgres ? reportSlowStep('Starting PostgreSQL', () => startPostgres(folder)) : undefined,
    options.nats ? reportSlowStep('Starting nats-server', () => startNatsServer(folder)) : undefined,
  ]);
  const started = {
    postgres: postgres.status === 'fulfilled' ? postgres.value : undefined,
    nats: nats.status === 'fulfilled' ? nats.value : undefined,
  };
  const stop = () => stopServers(started.postgres, started.nats, dataDir);
  for (const result of [postgres, nats]) {
    if (result.status === 'fulfilled') continue;
    await stop();
    throw result.reason;
  }
  return {
    ...started,
    authSecret: readOrCreateSecret(dataDir.path, authSecretName),
    stop,
    killNow: () => {
      started.nats?.killNow();
      started.postgres?.killNow();
    },
  };
}

async function stopServers(
  postgres: EmbeddedPostgres | undefined,
  nats: EmbeddedNats | undefined,
  dataDir: DataDir,
): Promise<void> {
  dataDir.announceStop();
  await nats?.stop();
  await postgres?.stop();
  dataDir.release();
}
