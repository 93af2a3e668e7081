import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { AwsClient } from 'aws4fetch';
import { chooseUser } from '../../src/dev/embedded/unprivileged.js';
import { findOwnPort } from './own-port.js';
import { waitFor } from './wait-for.js';

/*
 * OpenStack Swift with its S3 API: a real S3 that checks signatures, and that Debian has. It does not know conditional writes.
 */

/** A key of the S3 and its secret. */
export interface S3Key {
  readonly id: string;
  readonly secret: string;
}

/** An S3 for one test file, which can be made to fail. */
export interface TestS3 {
  /** `http://127.0.0.1:port` */
  readonly endpoint: string;
  readonly region: string;
  readonly key: S3Key;
  /** A key that may read and write nothing in the buckets of the other. */
  readonly powerless: S3Key;
  /** Makes a bucket, and resolves with its name. */
  createBucket(): Promise<string>;
  /** The settings with which a server uses the bucket. */
  settings(bucket: string): Record<string, string>;
  /** It takes connections, and answers nothing. */
  pause(): void;
  resume(): void;
  /** Refuses connections until `restart`. */
  kill(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

// Debian's own, which has the modules of its packages.
const python = '/usr/bin/python3';
const memcached = '/usr/bin/memcached';
const kinds = ['account', 'container', 'object'] as const;
/** Lists have pages of this size, so that a few objects make several pages. */
export const listPageSize = 100;
const region = 'kr-test';

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Why the tests that need it are skipped; empty if they are not. */
export function whyNoS3(): string {
  const needed = [...['proxy', ...kinds].map(programOf), memcached, '/etc/swift/swift.conf'];
  if (!needed.every((path) => existsSync(path))) return 'OpenStack Swift is not on this machine';
  const script = 'import os,sys,tempfile\nwith tempfile.NamedTemporaryFile() as f: os.setxattr(f.name, "user.x", b"1")';
  try {
    execFileSync(python, ['-c', script], { stdio: 'ignore' });
    return '';
  } catch {
    return 'the file system of the temporary folder has no extended attributes, which OpenStack Swift needs';
  }
}

const programOf = (kind: string): string => `/usr/bin/swift-${kind}-server`;

/** Starts it on free ports, with files of its own. */
export async function startS3(): Promise<TestS3> {
  const folder = mkdtempSync(join(tmpdir(), 'fairway-s3-'));
  chmodSync(folder, 0o755);
  const runAs = chooseUser(folder);
  const user = runAs.uid === undefined ? userInfo().username : 'nobody';
  const devices = join(folder, 'devices/disk');
  mkdirSync(devices, { recursive: true });
  if (runAs.uid !== undefined && runAs.gid !== undefined) chownSync(devices, runAs.uid, runAs.gid);

  const port = await findOwnPort();
  const cachePort = await findOwnPort();
  const ports = { account: await findOwnPort(), container: await findOwnPort(), object: await findOwnPort() };
  makeRings(folder, ports);
  const secrets = { chat: randomBytes(20).toString('hex'), stranger: randomBytes(20).toString('hex') };
  const common = `[DEFAULT]\nswift_dir = ${folder}\nuser = ${user}\nworkers = 0\nbind_ip = 127.0.0.1\n`;
  for (const kind of kinds) {
    writeFileSync(
      join(folder, `${kind}.conf`),
      `${common}bind_port = ${ports[kind]}
devices = ${join(folder, 'devices')}
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
conn_timeout = 20
container_update_timeout = 20
[pipeline:main]
pipeline = ${kind}-server
[app:${kind}-server]
use = egg:swift#${kind}
`,
    );
  }
  writeFileSync(
    join(folder, 'proxy.conf'),
    `${common}bind_port = ${port}
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats s3api tempauth copy proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
conn_timeout = 20
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:${cachePort}
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:copy]
use = egg:swift#copy
[filter:s3api]
use = egg:swift#s3api
location = ${region}
max_bucket_listing = ${listPageSize}
allow_multipart_uploads = false
cors_preflight_allow_origin = *
[filter:tempauth]
use = egg:swift#tempauth
user_fairway_chat = ${secrets.chat} .admin
user_fairway_stranger = ${secrets.stranger}
`,
  );

  const launch = (program: string, args: readonly string[]): ChildProcess => {
    const child = spawn(program, args, { ...runAs, cwd: folder, stdio: 'ignore' });
    running.add(child);
    child.once('exit', () => running.delete(child));
    return child;
  };
  const start = (kind: string) => launch(python, [programOf(kind), join(folder, `${kind}.conf`)]);
  const endpoint = `http://127.0.0.1:${port}`;
  const key = { id: 'fairway:chat', secret: secrets.chat };
  const client = new AwsClient({
    accessKeyId: key.id,
    secretAccessKey: key.secret,
    service: 's3',
    region,
    retries: 0,
  });
  const makeBucket = (name: string) => client.fetch(`${endpoint}/${name}`, { method: 'PUT' });
  // Not before all four processes answer.
  const whenReady = () =>
    waitFor(async () => (await makeBucket(`bucket-${randomBytes(6).toString('hex')}`)).ok, {
      what: 'the S3',
      pollMs: 200,
    });

  const backends = [launch(memcached, ['-l', '127.0.0.1', '-p', String(cachePort), '-U', '0']), ...kinds.map(start)];
  let proxy = start('proxy');
  await whenReady();
  return {
    endpoint,
    region,
    key,
    powerless: { id: 'fairway:stranger', secret: secrets.stranger },
    createBucket: async () => {
      const name = `bucket-${randomBytes(6).toString('hex')}`;
      const response = await makeBucket(name);
      if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
      return name;
    },
    settings: (bucket) => ({
      STORAGE_URL: `s3://${bucket}/chat?region=${region}&endpoint=${endpoint}&path-style=true`,
      STORAGE_KEY_ID: key.id,
      STORAGE_SECRET_KEY: key.secret,
    }),
    pause: () => void proxy.kill('SIGSTOP'),
    resume: () => void proxy.kill('SIGCONT'),
    kill: () => end(proxy),
    restart: async () => {
      proxy = start('proxy');
      await whenReady();
    },
    stop: async () => {
      await Promise.all([proxy, ...backends].map(end));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The tables that say where an object is: everything on the one disk. */
function makeRings(folder: string, ports: Readonly<Record<string, number>>): void {
  const script = `
import sys, json
from swift.common.ring import RingBuilder
folder, ports = sys.argv[1], json.loads(sys.argv[2])
for name, port in ports.items():
    builder = RingBuilder(2, 1, 0)
    builder.add_dev({'region': 1, 'zone': 1, 'ip': '127.0.0.1', 'port': port, 'device': 'disk', 'weight': 1})
    builder.rebalance()
    builder.get_ring().save('%s/%s.ring.gz' % (folder, name))
`;
  execFileSync(python, ['-c', script, folder, JSON.stringify(ports)], { stdio: ['ignore', 'ignore', 'pipe'] });
  for (const kind of kinds) chmodSync(join(folder, `${kind}.ring.gz`), 0o644);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
