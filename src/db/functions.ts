import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';

/** One file of prisma/functions. */
export interface SqlFunction {
  readonly name: string;
  readonly sql: string;
}

interface LiveFunction {
  readonly name: string;
  /** In the form for DROP FUNCTION: `chat_is_member(uuid,integer)`. */
  readonly signature: string;
  /** The arguments and the result, which CREATE OR REPLACE cannot change. */
  readonly shape: string;
  readonly definition: string;
}

const extension = '.sql';
/** The schema in which the functions are created for the comparison. */
const scratchSchema = 'files';

export const readFunctions = (folder: string): SqlFunction[] =>
  readdirSync(folder)
    .filter((file) => file.endsWith(extension))
    .sort()
    .map((file) => ({
      name: file.slice(0, -extension.length),
      sql: readFileSync(join(folder, file), 'utf8').trim(),
    }));

/** Returns the statements that drop functions without a file. */
export async function draftDrops(client: pg.Client, functions: readonly SqlFunction[]): Promise<string[]> {
  const names = new Set(functions.map(({ name }) => name));
  const live = await listFunctions(client, 'public');
  return live.filter(({ name }) => !names.has(name)).map(drop);
}

/**
 * Returns the statements that update the database's functions to those of the files, in an order in which each can run.
 * @throws {Error} with the name of a file that does not create exactly one function of its name
 */
export async function draftReplacements(client: pg.Client, functions: readonly SqlFunction[]): Promise<string[]> {
  const live = await listFunctions(client, 'public');
  await client.query(`BEGIN; CREATE SCHEMA ${scratchSchema}; SET LOCAL search_path = ${scratchSchema}, public`);
  try {
    const created = await createAll(client, functions);
    const wanted = await listFunctions(client, scratchSchema);
    assertOneEach(functions, wanted);
    return created.flatMap(({ name, sql }) => {
      const same = (fn: LiveFunction) => fn.name === name;
      return replace(sql, live.filter(same), wanted.filter(same));
    });
  } finally {
    await client.query('ROLLBACK');
  }
}

function replace(sql: string, live: readonly LiveFunction[], wanted: readonly LiveFunction[]): string[] {
  const [before, after] = [live[0], wanted[0]];
  if (live.length === 1 && before?.definition === after?.definition) return [];
  if (live.length === 1 && before?.shape === after?.shape) return [sql];
  return [[...live.map(drop), sql].join('\n')];
}

const drop = ({ signature }: LiveFunction): string => `DROP FUNCTION ${signature};`;

/** Creates each function after those that it calls, as PostgreSQL requires for functions in SQL. */
async function createAll(client: pg.Client, functions: readonly SqlFunction[]): Promise<SqlFunction[]> {
  const created: SqlFunction[] = [];
  for (let waiting = functions; waiting.length > 0; ) {
    const refused: SqlFunction[] = [];
    let refusal = '';
    for (const fn of waiting) {
      try {
        await client.query(`SAVEPOINT before; ${fn.sql}`);
        created.push(fn);
      } catch (error) {
        await client.query('ROLLBACK TO SAVEPOINT before');
        refused.push(fn);
        refusal ||= `${fn.name}${extension}: ${(error as Error).message}`;
      }
    }
    if (refused.length === waiting.length) throw new Error(refusal);
    waiting = refused;
  }
  return created;
}

function assertOneEach(functions: readonly SqlFunction[], created: readonly LiveFunction[]): void {
  const names = created.map(({ name }) => name).sort();
  const stray = functions.find(({ name }) => names.filter((other) => other === name).length !== 1);
  if (stray !== undefined) throw new Error(`${stray.name}${extension} must create ${stray.name}, once`);
  const unnamed = names.find((name) => functions.every((fn) => fn.name !== name));
  if (unnamed !== undefined) throw new Error(`${unnamed} must be in a file of its own: ${unnamed}${extension}`);
}

async function listFunctions(client: pg.Client, schema: string): Promise<LiveFunction[]> {
  const { rows } = await client.query<LiveFunction>(
    `SELECT p.proname AS name, p.oid::regprocedure::text AS signature,
       pg_get_function_arguments(p.oid) || ' ' || pg_get_function_result(p.oid) AS shape,
       pg_get_functiondef(p.oid) AS definition
     FROM pg_proc p WHERE p.pronamespace = $1::regnamespace AND p.prokind = 'f' ORDER BY signature`,
    [schema],
  );
  return rows.map((row) => ({ ...row, definition: row.definition.replace(`FUNCTION ${schema}.`, 'FUNCTION ') }));
}
