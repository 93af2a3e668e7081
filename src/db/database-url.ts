/** The parameters that the driver supports. The server would refuse others, or nothing would read them. */
const known = new Set([
  'application_name',
  'host',
  'options',
  'port',
  'ssl',
  'sslcert',
  'sslkey',
  'sslmode',
  'sslnegotiation',
  'sslrootcert',
  'uselibpqcompat',
]);

/** Hints for parameters that other programs support. */
const instead: Readonly<Record<string, string>> = {
  connection_limit: 'DATABASE_POOL_SIZE, READ_POOL_SIZE and REPLAY_POOL_SIZE say how many connections there are',
  pgbouncer: 'a pooler must be in session mode, and needs no parameter then',
};

/** Returns the problem with the parameters of a PostgreSQL URL as a sentence; undefined if there is none. */
export function findUrlProblem(url: string): string | undefined {
  if (!URL.canParse(url)) return undefined; // reported as an invalid URL
  for (const [name, value] of new URL(url).searchParams) {
    // All tables are in this schema anyway.
    if (name === 'schema' && value === 'public') continue;
    if (name === 'schema') return '?schema= must be public: give Fairway a database of its own instead';
    if (!known.has(name)) return `?${name}= is not supported${instead[name] === undefined ? '' : `: ${instead[name]}`}`;
  }
  return undefined;
}
