import { createHash, randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import sharp from 'sharp';
import type { AnyAttachmentFragment, UploadPurpose } from '../e2e/generated/graphql.js';
import type { TestClient } from './client.js';
import type { Instance } from './instance.js';
import { completeUpload, createUpload, uploadStatus } from './operations.js';
import { waitFor } from './wait-for.js';

export type Attachment = AnyAttachmentFragment;

export interface Bytes {
  readonly name: string;
  readonly type: string;
  readonly bytes: Uint8Array;
}

/** A photo as a phone makes it: turned by its orientation, with the place where it was taken. */
export const makePhoto = async ({ width = 640, height = 480 } = {}): Promise<Bytes> => ({
  name: '사진.jpg',
  type: 'image/jpeg',
  bytes: await sharp({ create: { width, height, channels: 3, background: '#3a7' } })
    .withExif({
      IFD0: { Make: 'Phone', Orientation: '6' },
      IFD3: { GPSLatitude: '37/1 33/1 0/1', GPSLatitudeRef: 'N' },
    })
    .withMetadata({ orientation: 6 })
    .jpeg()
    .toBuffer(),
});

export const makeText = (text = 'hello'): Bytes => ({
  name: 'notes.txt',
  type: 'text/plain',
  bytes: Buffer.from(text),
});

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Announces a file. */
export async function announce(
  client: TestClient,
  roomId: string,
  { name, type, bytes }: Bytes,
  id = randomUUID() as string,
  purpose: UploadPurpose = 'MESSAGE',
) {
  const input = { id, roomId, purpose, name, contentType: type, byteSize: bytes.length, sha256: sha256(bytes) };
  return (await client.http(createUpload, { input })).createUpload;
}

export type Announced = Awaited<ReturnType<typeof announce>>;

/** Sends the bytes where they go. */
export const put = (instance: Instance, { method, url, headers }: Announced, bytes: Uint8Array): Promise<Response> =>
  fetch(new URL(url, instance.url), {
    method,
    headers: Object.fromEntries(headers.map(({ name, value }) => [name, value])),
    body: bytes as Uint8Array<ArrayBuffer>,
  });

export const complete = async (client: TestClient, id: string): Promise<Attachment> =>
  (await client.http(completeUpload, { input: { id } })).completeUpload.attachment;

/** The whole way of a file up to the point where it can be sent. */
export async function upload(instance: Instance, client: TestClient, roomId: string, file: Bytes): Promise<Attachment> {
  const announced = await announce(client, roomId, file);
  const response = await put(instance, announced, file.bytes);
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  return complete(client, announced.attachment.id);
}

/** Reads a file as a client does that can send a header. */
export const read = (
  instance: Instance,
  { token }: Pick<TestClient, 'token'>,
  url: string | null,
  headers: Record<string, string> = {},
): Promise<Response> =>
  fetch(new URL(url ?? '/nowhere', instance.url), { headers: { authorization: `Bearer ${token}`, ...headers } });

/** Everything that the folder has of files, as paths in it; `prefix` selects a part. */
export const listFiles = (folder: string, prefix = ''): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((path) => path.startsWith(prefix) && path !== 'storage-id')
    .sort();

/** The head of the request that brings the bytes, for a connection of its own. */
export const headOf = ({ method, url, headers }: Announced, length: number | null): string =>
  [
    `${method} ${url} HTTP/1.1`,
    'Host: localhost',
    ...headers.map(({ name, value }) => `${name}: ${value}`),
    length === null ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`,
    '\r\n',
  ].join('\r\n');

export type SettledAttachment = Attachment & { readonly durationMs: number | null };

/** The file as its uploader sees it, once the work on it has ended. */
export const whenSettled = (client: TestClient, id: string): Promise<SettledAttachment> =>
  waitFor(
    async () => {
      const { node } = await client.http(uploadStatus, { id });
      const found = node?.__typename === 'Attachment' ? node : null;
      return found === null || found.status === 'PROCESSING' ? undefined : found;
    },
    { what: 'the end of the work on a file', pollMs: 100 },
  );
