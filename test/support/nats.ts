import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { type EmbeddedNats, startNatsServer } from '../../src/embedded/nats-server.js';

/** A nats-server of one's own, which can be made to fail. */
export interface TestNats {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly port: number;
  /** SIGKILL; it stays away until `restart`. */
  kill(): Promise<void>;
  /** Back on the same port with the same password, after a kill if it runs; `wipe`: with an empty store. */
  restart(options: { wipe: boolean }): Promise<void>;
  /** How many logins it has refused. */
  refusals(): number;
  /** Ends it and removes what it kept. */
  stop(): Promise<void>;
}

/** On a free port, or on the one that is asked for; each has a password of its own. */
export async function startNats(where: { port?: number } = {}): Promise<TestNats> {
  const dataDir = mkdtempSync(join(tmpdir(), 'fairway-nats-'));
  const log = pino({ level: 'warn' });
  let server: EmbeddedNats = await startNatsServer({ dataDir, log, ...where });
  const { url, user, password, port } = server;
  return {
    url,
    user,
    password,
    port,
    kill: () => server.kill(),
    restart: async ({ wipe }) => {
      await server.kill();
      if (wipe) rmSync(join(dataDir, 'nats/store'), { recursive: true, force: true });
      server = await startNatsServer({ dataDir, log, port });
    },
    refusals: () => readFileSync(join(dataDir, 'nats/server.log'), 'utf8').split('authentication error').length - 1,
    stop: async () => {
      await server.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
