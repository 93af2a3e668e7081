import type { AttachmentKind, AttachmentStatus } from '../domain/attachment.js';
import type { Database } from './database.js';

/** What the last comparison of the storage with the rows has found. */
export interface SweepResult {
  /** Objects that no row needs. */
  readonly orphans: number;
  /** Rows whose bytes are not there. */
  readonly missing: number;
}

/** The last result of any instance; null if there is none yet. */
export async function findSweepResult({ upkeep }: Database): Promise<SweepResult | null> {
  const [row] =
    await upkeep.query<SweepResult>`SELECT orphans, missing FROM chat_file_sweeps WHERE orphans IS NOT NULL`;
  return row ?? null;
}

/** Begins a sweep unless one has begun within `everyMs`, on any instance. Resolves with its beginning, or null. */
export async function beginSweep({ upkeep }: Database, everyMs: number): Promise<Date | null> {
  const [row] = await upkeep.query<{ at: string }>`
    INSERT INTO chat_file_sweeps AS s (id, began_at) VALUES (1, clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET began_at = clock_timestamp()
      WHERE s.began_at < clock_timestamp() - ${everyMs}::float8 * interval '1 millisecond'
    RETURNING to_char(s.began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at`;
  return row === undefined ? null : new Date(row.at);
}

export async function noteSweep({ upkeep }: Database, { orphans, missing }: SweepResult): Promise<void> {
  await upkeep.query`UPDATE chat_file_sweeps SET orphans = ${orphans}::int, missing = ${missing}::int`;
}

/**
 * Whether files without a row may be erased. After the database was restored they may belong to a backup that is still to come:
 * only `npm run restored` says that there is none.
 */
export async function mayErase({ upkeep }: Database): Promise<boolean> {
  const [row] = await upkeep.query<{ may: boolean }>`
    SELECT e.confirmed_at IS NOT NULL OR (SELECT count(*) FROM chat_epochs) = 1 AS may
    FROM chat_epochs e ORDER BY e.number DESC LIMIT 1`;
  return row?.may === true;
}

/** A file of which bytes are stored. */
export interface KeptFile {
  readonly id: string;
  readonly status: AttachmentStatus;
  readonly kind: AttachmentKind;
  /** Whether it was announced before the given time. */
  readonly isOld: boolean;
  readonly reception: string | null;
}

export async function findKept({ upkeep }: Database, ids: readonly string[], before: Date): Promise<KeptFile[]> {
  return upkeep.query<KeptFile>`
    SELECT a.id, a.status, a.kind, a.reception, a.created_at < ${before.toISOString()}::timestamptz AS "isOld"
    FROM chat_attachments a WHERE a.id = ANY(${ids}::uuid[]) AND a.status IN ('PENDING', 'PROCESSING', 'READY')`;
}

/** How many files that were announced before that time need their bytes. */
export async function countKept({ upkeep }: Database, before: Date): Promise<number> {
  const [row] = await upkeep.query<{ count: number }>`
    SELECT count(*)::int AS count FROM chat_attachments a
    WHERE a.status IN ('PROCESSING', 'READY') AND a.created_at < ${before.toISOString()}::timestamptz`;
  return row?.count ?? 0;
}
