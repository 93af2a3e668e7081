import { isOfMissingTables } from '../db/database-errors.js';
import { findUrlProblem } from '../db/database-url.js';

/** A failure that its message explains; printed without a stack. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/** Prints the command's result. On a failure, prints the message to stderr and exits with code 1. */
export async function runCommand(command: () => Promise<string>): Promise<never> {
  try {
    process.stdout.write(`${await command()}\n`);
    process.exit(0);
  } catch (error) {
    process.stderr.write(`${describe(error)}\n`);
    process.exit(1);
  }
}

function describe(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (isOfMissingTables(cause)) return 'This database is not migrated yet. First: npm run migrate';
  }
  return error instanceof Error ? error.message : String(error);
}

/** @throws {CommandError} if it is not set, or has unsupported parameters */
export function requireDatabaseUrl(): string {
  const url = process.env.DATABASE_URL;
  if (url === undefined || url === '') {
    throw new CommandError('Set DATABASE_URL to the database that is meant: postgresql://user:password@host:5432/name');
  }
  const problem = findUrlProblem(url);
  if (problem !== undefined) throw new CommandError(`DATABASE_URL: ${problem}`);
  return url;
}
