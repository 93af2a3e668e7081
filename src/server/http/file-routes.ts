import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { type FileVersion, fileVersions, maxUploadsAtOnce } from '../../domain/attachment.js';
import { ChatError } from '../../domain/errors.js';
import { incomingKey, type Receive } from '../../files/storage.js';
import type { Deps, Files } from '../../resolvers/deps.js';
import { assertAwaitsBytes, type OpenFile, openFile } from '../../resolvers/files.js';
import type { Authenticate } from '../graphql/context.js';
import { refuse } from './answers.js';
import { getAndHead, type Handler, type Route } from './router.js';
import { queryOf } from './target.js';
import { UserLimit } from './user-limit.js';

export interface FileRoutesOptions {
  readonly deps: Deps;
  readonly files: Files;
  readonly authenticate: Authenticate;
}

const cookieName = 'fairway_files';
/** Nothing in a file is ever executed, whatever it is opened with. */
const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self'; sandbox";
const keptSeconds = 86_400;
const noFile = { code: 'NOT_FOUND', message: 'There is no such file' } as const;
/** For sending a file, however slowly. */
const maxSendMs = 3_600_000;
/** Of one user. A page of pictures asks for many at once, and each is short. */
const maxReadsAtOnce = 100;

/** The bytes of files: for members of their rooms. With a folder as storage, clients also write them here. */
export function fileRoutes({ deps, files, authenticate }: FileRoutesOptions): Route[] {
  const findReader = createFindReader(files, authenticate);
  const reads = new UserLimit(maxReadsAtOnce, 'files are sent');
  const send: Handler = async (request, response, { id = '', version = '' }) => {
    // Also without an Origin: what an element of a page has cached must not be taken for an answer to its script.
    response.appendHeader('vary', 'authorization, cookie, origin');
    const userId = await findReader(request);
    // The same answer for everybody who may not read it: that a file exists is nobody else's business.
    if (userId === null || !isVersion(version)) return refuse(response, noFile);
    await reads.run(userId, async () => {
      const file = await openFile(deps, userId, id.toLowerCase(), version);
      if (file === null) return refuse(response, noFile);
      // The address is signed for GET.
      if (file.address !== null && request.method === 'GET') return redirect(response, file.address);
      // Until then the bytes are others: nobody may put parts of both together.
      const etag = `"${id.toLowerCase()}-${file.isFinal ? version : 'received'}"`;
      await sendBytes(request, response, file, etag);
    });
  };
  const routes: Route[] = [
    { methods: getAndHead, path: '/files/:id/:version', handler: send },
    { methods: ['POST'], path: '/files/session', handler: createSession(files, authenticate) },
    { methods: ['DELETE'], path: '/files/session', handler: endSession },
  ];
  const { receive } = files.storage;
  return receive === null ? routes : [...routes, receiveRoute(receive, { deps, files })];
}

const isVersion = (text: string): text is FileVersion => fileVersions.some((version) => version === text);

type FindReader = (request: IncomingMessage) => Promise<number | null>;

/** The user of the request: by its token, by a token for files alone, or by the cookie that has one. */
function createFindReader({ signer }: Files, authenticate: Authenticate): FindReader {
  return async (request) => {
    const { authorization, cookie } = request.headers;
    if (authorization !== undefined) return (await authenticate(authorization).catch(orNobody))?.userId ?? null;
    const given = new URLSearchParams(queryOf(request)).get('access') ?? readCookie(cookie);
    return given === undefined ? null : signer.checkAccess(given);
  };
}

function orNobody(error: unknown): null {
  if (error instanceof ChatError && error.code === 'UNAUTHENTICATED') return null;
  throw error;
}

function readCookie(header: string | undefined): string | undefined {
  const pair = header?.split(';').find((part) => part.trim().startsWith(`${cookieName}=`));
  return pair?.trim().slice(cookieName.length + 1);
}

/** Gives a browser of the same origin a cookie with which it reads files, and nothing else. */
function createSession({ signer }: Files, authenticate: Authenticate): Handler {
  return async (request, response) => {
    const viewer = await authenticate(request.headers.authorization);
    if (viewer === null) throw new ChatError('UNAUTHENTICATED', 'A token is needed: Authorization: Bearer ...');
    const { token, expiresAt } = signer.signAccess(viewer.userId);
    sendCookie(request, response, token, `Expires=${expiresAt.toUTCString()}`);
  };
}

/** Ends the cookie, whoever asks: a browser sends and keeps it for pages of the same origin only. */
const endSession: Handler = async (request, response) => sendCookie(request, response, '', 'Max-Age=0');

function sendCookie(request: IncomingMessage, response: ServerResponse, value: string, until: string): void {
  const isSecure = request.headers['x-forwarded-proto'] === 'https';
  const always = [`${cookieName}=${value}`, 'Path=/files', 'HttpOnly', 'SameSite=Strict', until];
  const cookie = [...always, ...(isSecure ? ['Secure'] : [])].join('; ');
  response.writeHead(204, { 'set-cookie': cookie, 'cache-control': 'no-store' }).end();
}

function redirect(response: ServerResponse, address: string): void {
  // Shorter than the address lives.
  response.writeHead(302, { location: address, 'cache-control': 'private, max-age=30' }).end();
}

const isSame = ({ headers }: IncomingMessage, etag: string): boolean => {
  const known = headers['if-none-match'];
  return known === '*' || known?.includes(etag) === true;
};

async function sendBytes(request: IncomingMessage, response: ServerResponse, file: OpenFile, etag: string) {
  const byteSize = await file.findByteSize();
  if (byteSize === null) return refuse(response, noFile);
  const headers: Record<string, string> = {
    'content-type': file.contentType,
    'content-disposition': file.disposition,
    'content-security-policy': policy,
    'cross-origin-resource-policy': 'cross-origin',
    'referrer-policy': 'no-referrer',
    'accept-ranges': 'bytes',
    // Only on the reader's own device, and only what never changes any more.
    'cache-control': file.isFinal ? `private, max-age=${keptSeconds}, immutable` : 'no-store',
    etag,
  };
  if (file.isFinal && isSame(request, etag)) {
    response.writeHead(304, headers).end();
    return;
  }
  const range = rangeOf(request, byteSize, etag);
  if (range === null) {
    const unsatisfied = { 'content-range': `bytes */${byteSize}` };
    return refuse(response, {
      code: 'BAD_USER_INPUT',
      message: 'The file has no such range',
      status: 416,
      headers: unsatisfied,
    });
  }
  const { start, end } = range ?? { start: 0, end: byteSize - 1 };
  headers['content-length'] = String(end - start + 1);
  if (range !== undefined) headers['content-range'] = `bytes ${start}-${end}/${byteSize}`;
  if (request.method === 'HEAD') {
    response.writeHead(range === undefined ? 200 : 206, headers).end();
    return;
  }
  const bytes = await file.read(range);
  if (bytes === null) return refuse(response, noFile);
  response.writeHead(range === undefined ? 200 : 206, headers);
  // A client that disconnects early is no error; the file is closed in any case.
  await pipeline(bytes, response, { signal: AbortSignal.timeout(maxSendMs) }).catch(() => response.destroy());
}

/** The one range that is asked for; undefined for the whole file, null if it has no such range. Several ranges get the whole file. */
function rangeOf(
  { headers }: IncomingMessage,
  size: number,
  etag: string,
): { start: number; end: number } | undefined | null {
  const ifRange = headers['if-range'];
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(headers.range ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  if (ifRange !== undefined && ifRange !== etag) return undefined;
  const start = first === '' ? Math.max(size - Number(last), 0) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  return start <= end && start < size ? { start, end } : null;
}

/** The address that `createUpload` hands out. It is signed, and needs no token. */
function receiveRoute(
  receive: Receive,
  { deps, files: { signer } }: { readonly deps: Deps; readonly files: Files },
): Route {
  const limit = new UserLimit(maxUploadsAtOnce, 'uploads');
  return {
    methods: ['PUT'],
    path: '/files/incoming/:id',
    handler: async (request, response, { id = '' }) => {
      const key = incomingKey(id);
      const query = new URLSearchParams(queryOf(request));
      const { byteSize, userId } = signer.checkWrite(key, query, request.headers['content-type']);
      const length = request.headers['content-length'];
      if (length !== undefined && Number(length) !== byteSize) {
        throw new ChatError('BAD_USER_INPUT', `Content-Length must be ${byteSize}, as createUpload was told`);
      }
      await limit.run(userId, async () => {
        try {
          await assertAwaitsBytes(deps, id, userId);
          // Leaving the loop must not destroy the request, because the client still has to get the response.
          await receive(key, request.iterator({ destroyOnReturn: false }), byteSize);
        } finally {
          // The rest of a refused file, so that the connection can be used again.
          request.resume();
        }
      });
      response.writeHead(204).end();
    },
  };
}
