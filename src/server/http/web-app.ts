import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { getAndHead, type Handler, type Route } from './router.js';
import { createStaticFiles } from './static-files.js';

export interface WebAppOptions {
  /** Normalized origins of the pages that may show the app in a frame, and hand it a token. */
  readonly frameAncestors: readonly string[];
  /** Normalized origins from which the app loads pictures. */
  readonly imageOrigins: readonly string[];
  /** Normalized origins, other than the page's own, where the bytes of files are read and written: also those of a storage. */
  readonly fileOrigins: readonly string[];
  /** The people who may sign in without a password. */
  readonly demoUsers: readonly { readonly id: number; readonly name: string }[] | undefined;
}

/** `npm start` builds the app: see scripts/web.mjs. */
const folder = fileURLToPath(new URL('../../../web/dist', import.meta.url));
const page = `${folder}/index.html`;

/** Whether the app was built. A server without it has no page at `/`. */
export const isWebAppBuilt = (): boolean => existsSync(page);

const yearSeconds = 31_536_000;
const settingsScript = '<script type="application/json" id="settings">{}</script>';

/**
 * The chat app at `/`: a page that is never cached, files that are kept for a year because their names change with their
 * content, and a service worker that a browser looks for at each visit.
 */
export function webAppRoutes(options: WebAppOptions): Route[] {
  const headers = { 'x-content-type-options': 'nosniff' };
  const hashed = createStaticFiles({
    root: `${folder}/assets`,
    headers: { ...headers, 'cache-control': `public, max-age=${yearSeconds}, immutable` },
  });
  const emoji = createStaticFiles({ root: `${folder}/emoji`, headers: { ...headers, 'cache-control': 'no-cache' } });
  const others = createStaticFiles({ root: folder, headers: { ...headers, 'cache-control': 'no-cache' } });
  const serve =
    (path: string): Handler =>
    (request, response) =>
      others(request, response, { '*': path });
  const named = ['icon.svg', 'icon-unread.svg', 'manifest.webmanifest', 'service-worker.js'];
  return [
    { methods: getAndHead, path: '/', handler: createPage(options) },
    { methods: getAndHead, path: '/assets/*', handler: hashed },
    ...named.map((name): Route => ({ methods: getAndHead, path: `/${name}`, handler: serve(name) })),
    { methods: getAndHead, path: '/emoji/*', handler: emoji },
  ];
}

/** The page with what the app must know of this server; as data, because the policy allows no inline script. */
function createPage({ frameAncestors, imageOrigins, fileOrigins, demoUsers }: WebAppOptions): Handler {
  const settings = JSON.stringify({ demoUsers, frameAncestors, imageOrigins }).replaceAll('<', '\\u003c');
  const html = readFileSync(page, 'utf8').replace(settingsScript, () => settingsScript.replace('{}', () => settings));
  const headers = {
    'content-type': 'text/html; charset=utf-8',
    'content-length': String(Buffer.byteLength(html)),
    'cache-control': 'no-store',
    'content-security-policy': createPolicy(frameAncestors, imageOrigins, fileOrigins),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    // For browsers that do not know frame-ancestors.
    ...(frameAncestors.length === 0 ? { 'x-frame-options': 'SAMEORIGIN' } : {}),
  };
  return (_request, response) => void response.writeHead(200, headers).end(html);
}

const createPolicy = (
  frameAncestors: readonly string[],
  imageOrigins: readonly string[],
  fileOrigins: readonly string[],
): string =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    // `blob:` is a file of this device that is being sent.
    ["img-src 'self' data: blob:", ...fileOrigins, ...imageOrigins].join(' '),
    ["media-src 'self' blob:", ...fileOrigins].join(' '),
    ["connect-src 'self'", ...fileOrigins].join(' '),
    "font-src 'self'",
    "manifest-src 'self'",
    "worker-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    ["frame-ancestors 'self'", ...frameAncestors].join(' '),
  ].join('; ');
