import { afterAll, beforeAll } from 'vitest';
import { TestClient } from './client.js';
import { createDatabase, type TestDatabase } from './database.js';
import { type Instance, startInstance } from './instance.js';
import { startNats, type TestNats } from './nats.js';

/** A database, a nats-server and server instances for the tests of one file, and clients that are closed at its end. */
export interface World {
  readonly database: TestDatabase;
  readonly nats: TestNats;
  readonly instances: readonly Instance[];
  /** Starts one more instance on the same database and NATS. */
  start(env?: Readonly<Record<string, string>>): Promise<Instance>;
  /** Creates a client of the user at the instance with this index. */
  client(userId: number, instance?: number, token?: string): Promise<TestClient>;
}

/** Real servers for a test file. Rate limits are lifted unless `env` sets them: tests are faster than people. */
export function useWorld({
  instances: count = 2,
  env = {} as Readonly<Record<string, string>>,
  nats: startServer = (): Promise<TestNats> => startNats(),
  database: makeDatabase = (): Promise<TestDatabase> => createDatabase(),
} = {}): World {
  const instances: Instance[] = [];
  const clients: TestClient[] = [];
  const world = {
    instances,
    start: async (more: Readonly<Record<string, string>> = {}) => {
      const instance = await startInstance({
        databaseUrl: world.database.url,
        nats: world.nats,
        env: {
          SENDS_PER_MINUTE: '1000000',
          CHANGES_PER_MINUTE: '1000000',
          COMPLEXITY_PER_MINUTE: '1000000000',
          SUBSCRIPTIONS_PER_MINUTE: '1000000',
          REPLAYED_PER_MINUTE: '1000000000',
          OPERATIONS_PER_MINUTE: '1000000000',
          NEW_USERS_PER_DAY: '1000000',
          MAX_SOCKETS_PER_USER: '10000',
          // Users whom somebody invites are visible to them.
          USER_DIRECTORY: 'on',
          ...env,
          ...more,
        },
      });
      instances.push(instance);
      return instance;
    },
    client: async (userId: number, instance = 0, token?: string) => {
      const client = await TestClient.create(instances[instance] as Instance, userId, token);
      clients.push(client);
      return client;
    },
  } as unknown as { -readonly [Key in keyof World]: World[Key] };

  beforeAll(async () => {
    [world.database, world.nats] = await Promise.all([makeDatabase(), startServer()]);
    await Promise.all(Array.from({ length: count }, () => world.start()));
  });
  afterAll(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await Promise.all(instances.map((instance) => instance.stop()));
    await world.nats?.stop();
    await world.database?.drop();
  });
  return world;
}

/** Stores the names that tokens have, so that no event of a new name comes between events of connections. */
export const nameEverybody = ({ database }: Pick<World, 'database'>) =>
  database.query(`UPDATE chat_users SET name = 'user ' || id WHERE name IS NULL`);
