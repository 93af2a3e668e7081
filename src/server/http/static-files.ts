import type { IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { negotiate } from '@fastify/accept-negotiator';
import send, { type SendOptions, type SendResult } from '@fastify/send';
import { type Refusal, refuse } from './answers.js';
import type { Handler } from './router.js';

export interface StaticFilesOptions {
  /** Its absolute path. Files whose name begins with a dot, or that are outside of it, are not served. */
  readonly root: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** What a file may be kept in beside itself, the best first. */
const encodings = [
  ['br', '.br'],
  ['gzip', '.gz'],
] as const;

/**
 * Serves the files below a folder, named by what the `*` of the route stands for: compressed where the folder has them
 * compressed too, with `ETag`, conditions and ranges. A file is read as fast as its client takes it.
 */
export function createStaticFiles({ root, headers }: StaticFilesOptions): Handler {
  return async (request, response, { '*': path = '' }) => {
    const found = await findFile(request, path, root);
    if (found.type !== 'file') return refuse(response, refusalOf(found));
    response.appendHeader('vary', 'accept-encoding');
    response.writeHead(found.statusCode, { ...found.headers, ...headers });
    // A client that goes away early is no fault; the file is closed either way.
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

/** A folder and a path that leads out of the root are not there either. */
function refusalOf({ statusCode, headers, metadata }: SendResult): Refusal {
  if (statusCode === 412) return { code: 'BAD_USER_INPUT', message: 'The file is another one by now', status: 412 };
  if (statusCode === 416) return { ...otherRange, headers: { 'content-range': headers['Content-Range'] ?? '' } };
  if (statusCode >= 500) throw 'error' in metadata ? metadata.error : new Error('The file could not be read');
  return { code: 'NOT_FOUND', message: 'There is nothing here' };
}

const otherRange: Refusal = { code: 'BAD_USER_INPUT', message: 'The file has no such range', status: 416 };
