/** What the driver makes something of. All else would be passed to the server, which refuses it, or to nobody. */
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

/** By what a parameter that other programs understand is said here. */
const instead: Readonly<Record<string, string>> = {
  connection_limit: 'DATABASE_POOL_SIZE, READ_POOL_SIZE and REPLAY_POOL_SIZE say how many connections there are',
  pgbouncer: 'a pooler must be in session mode, and needs no parameter then',
};

/** What is wrong with the parameters of a PostgreSQL URL, in a sentence; undefined where nothing is. */
export function findUrlProblem(url: string): string | undefined {
  if (!URL.canParse(url)) return undefined; // told as such
  for (const [name, value] of new URL(url).searchParams) {
    // The one that all tables are in anyway.
    if (name === 'schema' && value === 'public') continue;
    if (name === 'schema') return '?schema= must be public: give Fairway a database of its own instead';
    if (!known.has(name)) return `?${name}= is not supported${instead[name] === undefined ? '' : `: ${instead[name]}`}`;
  }
  return undefined;
}
