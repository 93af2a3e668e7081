import type { EpochStart, EpochWatch } from '../domain/epoch.js';
import { Prisma } from './generated/prisma/client.js';
import { connectClient } from './server-check.js';
import { applicationName } from './session.js';

/** The current epoch; a statement looks it up once for all its rows. */
export const presentEpoch = Prisma.sql`(SELECT e.id FROM chat_epochs e ORDER BY e.number DESC LIMIT 1)`;
export const epochColumn = Prisma.sql`${presentEpoch} AS epoch`;

const maxSeq = 2 ** 31 - 1;

/** The epochs of the room `r` in the query, for `toEpochs`. Almost always there is a single epoch for all rooms. */
export const epochsOfRoom = Prisma.sql`CASE WHEN (SELECT count(*) FROM chat_epochs) = 1
  THEN (SELECT json_build_array(json_build_array(e.id, 0)) FROM chat_epochs e)
  ELSE (
    -- A room without a row was made since, under an id that nobody chose: nobody knows it from before.
    SELECT json_agg(json_build_array(e.id, coalesce(b.seq, ${maxSeq}::int)) ORDER BY e.number)
    FROM chat_epochs e LEFT JOIN chat_room_epochs b ON b.room_id = r.id AND b.epoch = e.number
  ) END`;

export type EpochValues = readonly (readonly [epoch: string, seq: number])[] | null;

export const toEpochs = (values: EpochValues): EpochStart[] => (values ?? []).map(([epoch, seq]) => ({ epoch, seq }));

/** The newest epoch that was noted; earlier ones are ignored. */
export class NewestEpoch implements EpochWatch {
  #present = '';
  readonly #actions: (() => void)[] = [];

  get present(): string {
    return this.#present;
  }

  onChange(action: () => void): void {
    this.#actions.push(action);
  }

  note(epoch: string): void {
    if (epoch <= this.#present) return;
    const isChange = this.#present !== '';
    this.#present = epoch;
    if (isChange) for (const action of this.#actions) action();
  }
}

/**
 * A lease `i` that instances hold in this database. A lease that was valid when the dump was taken comes with it: a dump writes
 * the rows first and adds the primary key afterwards, so the row is no newer than the key. An instance renews its lease in a
 * later transaction. An age below 0 is more than 2^31 transactions, so the key is older than any lease.
 */
const isHeldHere = `i.expires_at > clock_timestamp() AND NOT i.released AND NOT EXISTS (
  SELECT FROM pg_constraint k WHERE k.conrelid = 'chat_instances'::regclass AND k.contype = 'p'
    AND age(k.xmin) BETWEEN 0 AND age(i.xmin))`;

/**
 * Begins an epoch after the database was restored. If instances have held a lease in it recently or are connected, they may have
 * written to it since, so nothing counts as common. It checks both, because a recovery of the server deletes the leases.
 * @param known - an epoch that instances know: the new one is later, whatever the server's clock shows
 * @throws {DatabaseUnreachableError} if the server does not answer within 5 s
 */
export async function beginEpoch(
  url: string,
  known?: string,
): Promise<{ readonly epoch: string; readonly isSure: boolean }> {
  const client = await connectClient(url);
  try {
    await client.query(`SET lock_timeout = '10s'`); // for writers, while all later writers wait behind it
    const { rows } = await client.query<{ epoch: string; is_sure: boolean }>(
      `SELECT chat_begin_epoch(l.is_sure, $1) AS epoch, l.is_sure FROM (
        SELECT NOT EXISTS (SELECT FROM chat_instances i WHERE ${isHeldHere})
          AND NOT EXISTS (
            SELECT FROM pg_stat_activity a WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
              AND a.application_name IN ($2, current_setting('application_name'))
          ) AS is_sure
      ) l`,
      [known ?? null, applicationName],
    );
    const [{ epoch, is_sure: isSure } = { epoch: '', is_sure: false }] = rows;
    await client.query('UPDATE chat_epochs SET confirmed_at = clock_timestamp() WHERE id = $1', [epoch]);
    return { epoch, isSure };
  } finally {
    await client.end();
  }
}
