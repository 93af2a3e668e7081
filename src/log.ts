import { type Logger, pino } from 'pino';

/**
 * Logs only type, message, code, stack and causes of an error: other properties of library errors may contain private
 * messages, for example PostgreSQL's `detail`, which has the whole row.
 */
export const createLog = (level = 'info'): Logger => pino({ level, serializers: { err: describeError } });

const maxCauses = 5;

function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  const { name, message, stack, cause } = error;
  const { code } = error as { code?: unknown };
  return {
    type: name,
    message,
    ...(code === undefined ? {} : { code }),
    stack,
    ...(cause === undefined || depth >= maxCauses ? {} : { cause: describeError(cause, depth + 1) }),
  };
}
