import { beginEpoch } from '../db/epochs.js';
import { requireDatabaseUrl, runCommand } from './run-command.js';

/** `npm run restored`: says that the database of DATABASE_URL was put back to an earlier state. */
await runCommand(async () => {
  const { epoch, isSure } = await beginEpoch(requireDatabaseUrl());
  const whom = isSure
    ? 'Clients that hold entries which are gone fetch their rooms anew.'
    : 'Instances have been running on it, so all clients fetch their rooms anew.';
  return `The logs are in a new epoch, ${epoch}. ${whom}`;
});
