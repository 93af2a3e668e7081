import { setTimeout as delay } from 'node:timers/promises';
import { ChatError } from '../domain/errors.js';
import { type Connection, createConnection } from './connection.js';
import type { Database } from './database.js';
import { stateOf } from './database-errors.js';
import { EarlierEpochError, type Session } from './session.js';

/** Whether changes can be written now, or the reason why not. */
export type Fitness = 'ok' | 'read-only' | 'full' | 'away';

const keptMs = 1_000;
const timeoutMs = 5_000;
/** So little memory that the check's sort goes to the disk, on the data's file system. */
const settings = { work_mem: '64kB', temp_tablespaces: '' };
const readOnly = '25006';
const diskFull = '53100';

/**
 * Checks whether PostgreSQL accepts changes, without changing data: it commits a message to the write-ahead log, and writes
 * 150 KB to a temporary file, which fails on a full disk. It uses its own connection, because busy pools say nothing about
 * the server.
 */
export class FitnessCheck {
  readonly #connection: Connection;
  #last: { readonly fitness: Promise<Fitness>; answeredAt: number } | undefined;

  /** @param serving - the connections of the instance: a server that they refuse is refused here as well */
  constructor(url: string, { newestSession, epochs }: Pick<Database, 'newestSession' | 'epochs'>) {
    // No report is needed: if the connection fails, so does the check.
    const onError = () => undefined;
    const onDoubt = () => this.#connection.renew();
    const onSession = ({ epoch }: Session) => {
      if (epoch < epochs.present) throw new EarlierEpochError(epochs.present);
    };
    this.#connection = createConnection({ url, max: 1, min: 1, settings, onError, onSession, newestSession, onDoubt });
    epochs.onChange(onDoubt);
  }

  /** Resolves within 5 s. Queries the server at most once a second for all callers. */
  check(): Promise<Fitness> {
    if (this.#last !== undefined && performance.now() - this.#last.answeredAt < keptMs) return this.#last.fitness;
    const last = { fitness: this.#ask(), answeredAt: Number.POSITIVE_INFINITY };
    this.#last = last;
    void last.fitness.then(() => {
      last.answeredAt = performance.now();
    });
    return last.fitness;
  }

  close(): Promise<void> {
    this.#connection.hurry();
    return this.#connection.close();
  }

  #ask(): Promise<Fitness> {
    const writing = tryToWrite(this.#connection).catch(toFitness);
    // A connection that was opened during a recovery stays read-only.
    void writing.then((fitness) => fitness === 'read-only' && this.#connection.renew());
    return Promise.race([writing, delay(timeoutMs, 'away' as const, { ref: false })]);
  }
}

async function tryToWrite({ query }: Connection): Promise<Fitness> {
  const [row] = await query<{ fitness: Fitness }>`
    SELECT CASE
      WHEN pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean THEN 'read-only'
      WHEN pg_logical_emit_message(true, 'fairway', '') IS NOT NULL
        AND (SELECT count(*) FROM generate_series(1, 10000)) > 0 THEN 'ok'
    END AS fitness`;
  return row?.fitness ?? 'away';
}

function toFitness(error: unknown): Fitness {
  const state = stateOf(error instanceof ChatError ? error.cause : error);
  if (state === diskFull) return 'full';
  return state === readOnly ? 'read-only' : 'away';
}
