import { existsSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createRouter } from '../../src/server/http/router.js';
import { createStaticFiles } from '../../src/server/http/static-files.js';
import { waitFor } from '../support/wait-for.js';

const text = '0123456789'.repeat(100);
let folder: string;
let server: Server;
let url: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fairway-files-'));
  const root = join(folder, 'public');
  mkdirSync(join(root, 'inside'), { recursive: true });
  mkdirSync(join(folder, 'public-not'));
  const files = {
    'public/a.txt': text,
    'public/inside/안녕 50%.txt': text,
    'public/.hidden': text,
    'public/large.bin': Buffer.alloc(50_000_000),
    'public/style.css': text,
    'public/style.css.gz': gzipSync(text),
    'secret.txt': 'secret',
    'public-not/secret.txt': 'secret',
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  const handler = createStaticFiles({ root, headers: { 'cache-control': 'no-cache' } });
  const route = createRouter([{ methods: ['GET', 'HEAD'], path: '/files/*', handler }]);
  server = createServer((request, response) => void route(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/files`;
});
afterAll(() => {
  server?.close();
  server?.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
});

/** Sends the path unchanged: fetch would resolve the dots. */
const statusOf = (path: string): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    get({ hostname, port, path }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    }).once('error', reject);
  });

it('serves a file by its name, whatever its characters', async () => {
  for (const path of [
    'a.txt',
    encodeURIComponent('inside/안녕 50%.txt'),
    `inside/${encodeURIComponent('안녕 50%.txt')}`,
  ]) {
    const response = await fetch(`${url}/${path}`);
    expect([path, response.status, await response.text()]).toEqual([path, 200, text]);
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  }
});

it.each([
  '/files/../secret.txt',
  '/files/..%2fsecret.txt',
  '/files/%2e%2e%2f%2e%2e%2fsecret.txt',
  '/files/%252e%252e%252fsecret.txt',
  '/files/inside/../../secret.txt',
  '/files/../public-not/secret.txt',
  '/files//etc/passwd',
  '/files/.hidden',
  '/files/%2ehidden',
  '/files/a.txt%00',
  '/files/inside',
  '/files/inside/',
  '/files/',
])('serves no folder, no hidden file and no file outside the root: %s', async (path) => {
  expect(await statusOf(path)).toBe(404);
});

it.each([
  ['bytes=0-9', 206, '0123456789', 'bytes 0-9/1000'],
  ['bytes=-5', 206, '56789', 'bytes 995-999/1000'],
  ['bytes=995-', 206, '56789', 'bytes 995-999/1000'],
  ['lines=1-2', 200, text, null],
])('serves the range %s', async (range, status, body, contentRange) => {
  const response = await fetch(`${url}/a.txt`, { headers: { range } });
  expect([response.status, response.headers.get('content-range')]).toEqual([status, contentRange]);
  expect(await response.text()).toBe(body);
});

it('refuses a range beyond the end, and a condition that is not met, with a code', async () => {
  const beyond = await fetch(`${url}/a.txt`, { headers: { range: 'bytes=1000-' } });
  expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, 'bytes */1000']);
  const other = await fetch(`${url}/a.txt`, { headers: { 'if-match': '"other"' } });
  expect(other.status).toBe(412);
  for (const refused of [beyond, other]) {
    expect(await refused.json()).toMatchObject({ errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
  }
});

it('gives the compressed file another ETag than the plain one', async () => {
  const tagOf = async (encoding: string) => {
    const response = await fetch(`${url}/style.css`, { headers: { 'accept-encoding': encoding } });
    expect([response.headers.get('content-encoding'), await response.text()]).toEqual([
      encoding === 'gzip' ? 'gzip' : null,
      text,
    ]);
    return response.headers.get('etag');
  };
  expect(await tagOf('gzip')).not.toBe(await tagOf('gzip;q=0'));
});

it.runIf(existsSync('/proc/self/fd'))('closes a file if the client disconnects during the download', async () => {
  const openFiles = () =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).endsWith('large.bin');
      } catch {
        return false;
      }
    }).length;
  const clients = Array.from({ length: 5 }, () => get(`${url}/large.bin`));
  for (const client of clients) client.on('error', () => undefined);
  await waitFor(() => openFiles() === clients.length, { what: 'files that are being sent' });
  for (const client of clients) client.destroy();
  await waitFor(() => openFiles() === 0, { what: 'the files to be closed' });
});
