import { type Logger, pino } from 'pino';

/**
 * Logs only type, message, code, stack and causes of an error: other properties of library errors may contain private
 * messages, for example PostgreSQL's `detail`, which has the whole row.
 * @param worker - is in every line
 */
export function createLog(level = 'info', worker?: number): Logger {
  const log = pino({ level, serializers: { err: describeError } });
  return worker === undefined ? log : log.child({ worker });
}

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
