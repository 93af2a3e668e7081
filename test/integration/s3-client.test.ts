import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { S3Storage } from '../../src/files/s3-storage.js';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const errorOf = (code: string) => `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`;
const answer =
  (status: number, body = '', headers: Record<string, string> = {}): Answer =>
  (_request, response) =>
    void response.writeHead(status, headers).end(body);

/* Answers that a real S3 gives rarely, or that the one of the other tests does not give. */
describe('a bucket as storage', () => {
  let server: Server;
  let storage: S3Storage;
  let folder: string;
  let answers: Answer[] = [];
  let requests: { line: string; headers: IncomingMessage['headers']; body: string }[] = [];
  const lines: string[] = [];
  const secret = 'a-secret-that-no-log-has';
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'fairway-s3-client-'));
    server = createServer(async (request, response) => {
      const next = answers.shift() ?? answer(500);
      const body = await text(request);
      requests.push({ line: `${request.method} ${request.url}`, headers: request.headers, body });
      next(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
    storage = new S3Storage(`s3://chat?region=r&endpoint=${endpoint}&path-style=true`, { id: 'KEY', secret }, log);
  });
  beforeEach(() => {
    answers = [];
    requests = [];
    lines.length = 0;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('tries again when the storage is overloaded or hangs up, three times in all, and logs the outage once', async () => {
    answers = [
      answer(503, errorOf('SlowDown')),
      (request) => request.socket.destroy(),
      answer(200, '', { 'content-length': '7' }),
    ];
    expect(await storage.sizeOf('files/a/received')).toBe(7);
    expect(requests).toHaveLength(3);
    expect(lines).toEqual([]);

    answers = [1, 2, 3].map(() => answer(503, errorOf('SlowDown')));
    await expect(storage.read('files/a/received')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      cause: { status: 503, code: 'SlowDown' },
    });
    expect(requests).toHaveLength(6);
    answers = [answer(403, errorOf('AccessDenied')), answer(404)];
    await expect(storage.read('files/a/received')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await storage.sizeOf('files/a/received')).toBeNull();
    expect(requests).toHaveLength(8);

    expect(lines.map((line) => JSON.parse(line).msg)).toEqual([
      'The storage of files is not available',
      'The storage of files is available again',
    ]);
    expect(lines.join('')).toContain('503 SlowDown');
    expect(lines.join('')).not.toContain(secret);
  });

  it('sends a file with its length, unsigned headers aside, and anew for each try', async () => {
    const path = join(folder, 'file');
    writeFileSync(path, 'x'.repeat(200_000));
    answers = [answer(500), answer(200)];

    await storage.write('files/b/original', path, 'image/webp');

    for (const { line, headers, body } of requests) {
      expect(line).toBe('PUT /chat/files/b/original');
      expect(headers).toMatchObject({ 'content-length': '200000', 'content-type': 'image/webp' });
      expect(headers).not.toHaveProperty('transfer-encoding');
      expect(headers.authorization).toMatch(/SignedHeaders=host;x-amz-content-sha256;x-amz-date,/);
      expect(body).toHaveLength(200_000);
    }
    expect(requests).toHaveLength(2);
  });

  it('does not take a copy for done whose answer begins well and ends in an error', async () => {
    answers = [answer(200, errorOf('InternalError'))];
    await expect(storage.copy('incoming/c', 'files/c/received')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      cause: { code: 'InternalError' },
    });
    answers = [answer(200, '')];
    await expect(storage.copy('incoming/c', 'files/c/received')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('keeps the first copy where the storage knows conditions, and copies all the same where it does not', async () => {
    const copied = '<CopyObjectResult><ETag>"x"</ETag></CopyObjectResult>';
    const conditions = () =>
      requests.filter(({ line }) => line.startsWith('PUT')).map(({ headers }) => headers['if-none-match']);
    answers = [answer(412, errorOf('PreconditionFailed')), answer(200, '', { 'content-length': '1' })];
    expect(await storage.copy('incoming/d', 'files/d/received')).toBe(true);
    expect(conditions()).toEqual(['*']);

    requests = [];
    answers = [answer(501, errorOf('NotImplemented')), answer(200, copied)];
    expect(await storage.copy('incoming/d', 'files/d/received')).toBe(true);
    expect(conditions()).toEqual(['*', undefined]);
    expect(requests[1]?.headers).toMatchObject({
      'x-amz-copy-source': '/chat/incoming/d',
      'x-amz-metadata-directive': 'REPLACE',
    });

    requests = [];
    answers = [answer(412, errorOf('PreconditionFailed')), answer(404), answer(200, copied)];
    expect(await storage.copy('incoming/d', 'files/d/received')).toBe(true);
    expect(conditions()).toEqual(['*', undefined]);
  });

  it('notices bytes that break off, or stand still', { timeout: 60_000 }, async () => {
    answers = [
      (_request, response) => {
        response.writeHead(200, { 'content-length': '10' }).write('01234');
        setTimeout(() => response.destroy(), 50);
      },
    ];
    await expect(text((await storage.read('files/e/received')) as Readable)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
    answers = [(_request, response) => void response.writeHead(200, { 'content-length': '10' }).write('01234')];
    await expect(text((await storage.read('files/e/received')) as Readable)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      cause: { name: 'StorageTimeoutError' },
    });
  });
});
