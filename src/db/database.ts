import pLimit from 'p-limit';
import { type Connection, createConnection } from './connection.js';

/** PostgreSQL. Owned by who connected it. */
export interface Database {
  /** For what changes something, and for the few small reads on which live delivery hangs. */
  readonly writes: Connection;
  /** For what somebody looks at: however much that is, sends have connections of their own. */
  readonly reads: Connection;
  /**
   * Runs a query of a replay or of a subscription's start, as many at a time as this pool has connections: a storm of
   * reconnects waits for its turn and starves neither sends nor reads.
   */
  replay<T>(query: (connection: Connection) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly url: string;
  /** Connections at most; each is opened when it is first needed. */
  readonly poolSize?: number;
  readonly readPoolSize?: number;
  readonly replayPoolSize?: number;
  /** Told of connections that fail while nobody uses them; of none after `close`. */
  readonly onError?: (error: unknown) => void;
}

/** Connects lazily: the first query opens the first connection. */
export function connectDatabase({
  url,
  poolSize = 10,
  readPoolSize = 10,
  replayPoolSize = 4,
  onError = () => undefined,
}: DatabaseOptions): Database {
  let closed = false;
  // The pool's own end does not wait for its idle connections: what cuts them off afterwards is no failure.
  const report = (error: unknown) => {
    if (!closed) onError(error);
  };
  const writes = createConnection(url, poolSize, report);
  const reads = createConnection(url, readPoolSize, report);
  const replay = createConnection(url, replayPoolSize, report);
  const limitReplay = pLimit(replayPoolSize);
  return {
    writes,
    reads,
    replay: (query) => limitReplay(() => query(replay)),
    close: async () => {
      closed = true;
      await Promise.all([writes, reads, replay].map((connection) => connection.close()));
    },
  };
}
