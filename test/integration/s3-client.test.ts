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

  it('never sends a copy twice to the same place, unless it was refused', async () => {
    const copied = '<CopyObjectResult><ETag>"x"</ETag></CopyObjectResult>';
    answers = [answer(503, errorOf('SlowDown')), answer(200, copied)];
    expect(await storage.copy('incoming/d', 'files/d/received-1')).toBe(true);
    expect(requests).toHaveLength(2);
    expect(requests[1]?.headers).toMatchObject({
      'x-amz-copy-source': '/chat/incoming/d',
      'x-amz-metadata-directive': 'REPLACE',
    });
    // These may still be at work on the first one.
    const unclear: Answer[] = [answer(500), answer(504), (request) => request.socket.destroy()];
    for (const one of unclear) {
      requests = [];
      answers = [one, answer(200, copied)];
      await expect(storage.copy('incoming/d', 'files/d/received-2')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      expect(requests).toHaveLength(1);
    }
  });

  it('does not follow a list that never ends', async () => {
    const page = answer(
      200,
      `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken>
        <Contents><Key>files/f/received</Key><LastModified>2026-12-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>`,
    );
    answers = Array.from({ length: 10 }, () => page);
    const keys: string[] = [];
    const listing = async () => {
      for await (const { key } of storage.list('files/')) keys.push(key);
    };
    await expect(listing()).rejects.toThrow('the same page');
    expect(keys).toHaveLength(2);
    expect(requests[0]?.line).toContain('prefix=files%2F');
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
