import type { IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { negotiate } from '@fastify/accept-negotiator';
import send, { type SendOptions, type SendResult } from '@fastify/send';
import { type Refusal, refuse } from './answers.js';
import type { Handler } from './router.js';

export interface StaticFilesOptions {
  /** An absolute path. Files outside of it, or with a name that begins with a dot, are not served. */
  readonly root: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The encodings of compressed copies that a folder may contain, the best first. */
const encodings = [
  ['br', '.br'],
  ['gzip', '.gz'],
] as const;

/**
 * Serves the files below a folder, by the `*` of the route: compressed if the folder has a compressed copy, with `ETag`,
 * conditional requests and ranges. A file is read as fast as its client takes it.
 */
export function createStaticFiles({ root, headers }: StaticFilesOptions): Handler {
  return async (request, response, { '*': path = '' }) => {
    const found = await findFile(request, path, root);
    if (found.type !== 'file') return refuse(response, refusalOf(found));
    response.appendHeader('vary', 'accept-encoding');
    response.writeHead(found.statusCode, { ...found.headers, ...headers });
    // A client that disconnects early is no error; the file is closed in any case.
    await pipeline(found.stream, response).catch(() => response.destroy());
  };
}

async function findFile(request: IncomingMessage, path: string, root: string): Promise<SendResult> {
  const options: SendOptions = { root, dotfiles: 'ignore', index: false, cacheControl: false };
  const accepted = request.headers['accept-encoding'] ?? '';
  for (const [encoding, suffix] of encodings) {
    if (negotiate(String(accepted), [encoding]) === null) continue;
    const found = await send(request, encodeURI(path + suffix), options);
    if (found.type !== 'file') continue;
    if (found.statusCode !== 304) Object.assign(found.headers, typeOf(path), { 'Content-Encoding': encoding });
    return found;
  }
  return send(request, encodeURI(path), options);
}

function typeOf(path: string): Record<string, string> {
  const type = send.mime.getType(path) ?? 'application/octet-stream';
  return { 'Content-Type': send.isUtf8MimeType(type) ? `${type}; charset=utf-8` : type };
}

/** Folders, and paths that lead out of the root, are reported as not found. */
function refusalOf({ statusCode, headers, metadata }: SendResult): Refusal {
  if (statusCode === 412) return { code: 'BAD_USER_INPUT', message: 'The file is another one by now', status: 412 };
  if (statusCode === 416) return { ...otherRange, headers: { 'content-range': headers['Content-Range'] ?? '' } };
  if (statusCode >= 500) throw 'error' in metadata ? metadata.error : new Error('The file could not be read');
  return { code: 'NOT_FOUND', message: 'There is nothing here' };
}

const otherRange: Refusal = { code: 'BAD_USER_INPUT', message: 'The file has no such range', status: 416 };
