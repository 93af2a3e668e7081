import { beginEpoch } from '../db/epochs.js';
import { parseUuid } from '../domain/ids.js';
import { requireDatabaseUrl, runCommand } from './run-command.js';

/**
 * `npm run restored [epoch]`: begins a new epoch after the database of DATABASE_URL was restored to an earlier state. `epoch`
 * is the last epoch that instances know; they name it when they refuse the database. It is needed if the database server's
 * clock is behind it.
 */
const [, , known] = process.argv;
await runCommand(async () => {
  const { epoch, isSure } = await beginEpoch(
    requireDatabaseUrl(),
    known === undefined ? undefined : parseUuid(known, 'epoch'),
  );
  const whom = isSure
    ? 'Clients that hold lost entries load their rooms again.'
    : 'Instances have been running on it, so all clients load their rooms again.';
  return `The logs are in a new epoch, ${epoch}. ${whom}`;
});
