import { type Config, ConfigError } from './config.js';
import { MigrationError } from './db/migrate.js';
import { DatabaseUnreachableError, DatabaseUnusableError } from './db/server-check.js';
import { DataDirInUseError } from './dev/embedded/data-dir.js';
import { NatsServerNotFoundError } from './dev/embedded/nats-binary.js';
import { PostgresNotFoundError } from './dev/embedded/postgres-binaries.js';
import { ClusterUnusableError } from './dev/embedded/postgres-cluster.js';
import { OtherStorageError, StorageRefusedError } from './files/open-storage.js';
import { ManifestError } from './server/graphql/documents/manifest.js';
import { WorkerStartError } from './workers/worker-pool.js';

const selfExplaining = [
  ConfigError,
  DataDirInUseError,
  NatsServerNotFoundError,
  PostgresNotFoundError,
  ClusterUnusableError,
  MigrationError,
  DatabaseUnreachableError,
  DatabaseUnusableError,
  ManifestError,
  OtherStorageError,
  StorageRefusedError,
  WorkerStartError,
];
/** A worker asks the primary process to listen, and gets its error as one of bind(2). */
const listening = ['listen', 'bind'];

/** The message for an operator who can fix the error, or undefined for any other error. */
export function describeStartError(error: unknown, config: Config | undefined): string | undefined {
  if (selfExplaining.some((type) => error instanceof type)) return (error as Error).message;
  const { code, syscall, hostname } = error as NodeJS.ErrnoException & { hostname?: string };
  if (config === undefined) return undefined;
  const { host, port } = config;
  if (syscall === 'getaddrinfo' && hostname === host) return `HOST: the name ${host} cannot be resolved`;
  if (syscall === undefined || !listening.includes(syscall)) return undefined;
  if (code === 'EADDRNOTAVAIL') return `HOST: ${host} is not an address of this machine`;
  if (code === 'EADDRINUSE') return `Port ${port} of ${host} is in use. Choose another one: PORT=${port + 1} npm start`;
  if (code === 'EACCES')
    return `Port ${port} of ${host} needs more permissions. Choose one from 1024 up: PORT=4000 npm start`;
  return `Cannot listen on port ${port} of ${host}: ${(error as Error).message}`;
}
