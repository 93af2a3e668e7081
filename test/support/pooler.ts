import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chooseUser } from '../../src/dev/embedded/unprivileged.js';
import { findOwnPort } from './own-port.js';
import { waitFor } from './wait-for.js';

const usualPlaces = [
  '/usr/sbin/pgbouncer',
  '/usr/bin/pgbouncer',
  '/usr/local/bin/pgbouncer',
  '/opt/homebrew/bin/pgbouncer',
];

/** Returns the path of PgBouncer on this machine, or undefined. */
export const findPgbouncer = (): string | undefined => usualPlaces.find((path) => existsSync(path));

/** Starts a PgBouncer in front of a database, with its default strictness about parameters. */
export async function startPooler(databaseUrl: string, mode: 'session' | 'transaction' | 'statement') {
  const { hostname, port: databasePort, username, password, pathname } = new URL(databaseUrl);
  const port = await findOwnPort();
  const folder = mkdtempSync(join(tmpdir(), 'fairway-pooler-'));
  const config = join(folder, 'pgbouncer.ini');
  const database = `host=${hostname} port=${databasePort} user=${username} password=${password}`;
  writeFileSync(
    config,
    `[databases]
* = ${database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
default_pool_size = 60
`,
  );
  chmodSync(folder, 0o755);
  const child = spawn(findPgbouncer() ?? 'pgbouncer', [config], {
    ...chooseUser(folder),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  await waitFor(() => output.includes('process up'), { what: 'PgBouncer' });
  return {
    url: `postgresql://${username}:${password}@127.0.0.1:${port}${pathname}`,
    stop: async () => {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
