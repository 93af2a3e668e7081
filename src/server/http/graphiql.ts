import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { endInPieces } from '../graphql/limits/pieces.js';
import { getAndHead, type Route } from './router.js';

const graphiqlScriptPath = '/graphql/graphiql.js';
const graphiqlStylePath = '/graphql/graphiql.css';

/** The `Authorization` that the first tab of the page opens with; undefined for none. */
export type AuthorizePage = (request: IncomingMessage) => Promise<string | undefined>;

export function graphiqlRoutes(authorize: AuthorizePage): Route[] {
  const graphiql = new Graphiql();
  return [
    {
      methods: getAndHead,
      path: '/',
      handler: (_request, response) => void response.writeHead(302, { location: 'graphql' }).end(),
    },
    {
      methods: ['GET'],
      path: '/graphql',
      accept: 'text/html',
      handler: async (request, response) => graphiql.sendPage(request, response, await authorize(request)),
    },
    ...[graphiqlScriptPath, graphiqlStylePath].map((path) => ({
      methods: getAndHead,
      path,
      handler: (request: IncomingMessage, response: ServerResponse) => graphiql.sendAsset(path, request, response),
    })),
  ];
}

interface Asset {
  readonly type: string;
  readonly gzipped: Buffer;
  readonly etag: string;
}

const firstQuery = `# 안녕하세요! Welcome to Fairway.
#
# The token of a user belongs into the headers below: { "Authorization": "Bearer ..." }

query MyRooms {
  viewer { id name }
  rooms(first: 10) {
    edges {
      node { id type title unreadCount lastMessage { content } }
    }
  }
}
`;

/**
 * GraphiQL without the network: its 9 MB come with the package, are compressed once, when they are first asked for,
 * and are kept by the browser. The page around them is small and holds what differs: the token, if there is one.
 */
class Graphiql {
  #assets: Promise<Map<string, Asset>> | undefined;

  /**
   * Addresses in the page are relative to its own, which behind a proxy may have a prefix that nobody here knows.
   * @param authorization - the header that the first tab opens with, or undefined
   */
  sendPage({ url = '' }: IncomingMessage, response: ServerResponse, authorization: string | undefined): void {
    const options = JSON.stringify({
      title: 'Fairway',
      // Over a WebSocket it would not pass on the headers of its pane, and so no token.
      subscriptionsProtocol: 'SSE',
      shouldPersistHeaders: false,
      defaultQuery: firstQuery,
      ...(authorization === undefined
        ? {}
        : { headers: JSON.stringify({ Authorization: authorization }, undefined, 2) }),
    }).replaceAll('<', '\\u003c');
    const folder = /^\/graphql\/(\?|$)/.test(url) ? '' : 'graphql/';
    const nonce = randomBytes(16).toString('base64');
    response.writeHead(200, {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'content-security-policy': policyFor(nonce),
      // For browsers that do not know frame-ancestors.
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
    });
    response.end(`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>Fairway</title>
    <link rel="icon" href="data:," />
    <link rel="stylesheet" href="${folder}graphiql.css" />
  </head>
  <body id="body" class="no-focus-outline">
    <noscript>GraphiQL needs JavaScript.</noscript>
    <div id="root"></div>
    <script src="${folder}graphiql.js"></script>
    <script nonce="${nonce}">YogaGraphiQL.renderYogaGraphiQL(document.querySelector('#root'), ${options});</script>
  </body>
</html>
`);
  }

  /** Answers for one of the two paths above. */
  async sendAsset(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#assets ??= loadAssets();
    const asset = (await this.#assets).get(path);
    if (asset === undefined) throw new Error(`No such asset: ${path}`);
    const headers = { etag: asset.etag, 'cache-control': 'no-cache', vary: 'accept-encoding' };
    if (request.headers['if-none-match'] === asset.etag) {
      response.writeHead(304, headers).end();
      return;
    }
    const length = asset.gzipped.length;
    const more = { 'content-type': asset.type, 'content-encoding': 'gzip', 'content-length': length };
    response.writeHead(200, { ...headers, ...more });
    await endInPieces(response, asset.gzipped);
  }
}

/**
 * The page may run what comes from here, and ask nobody else. Its editor brings styles, fonts and workers of its own. No page
 * elsewhere may show it in a frame: it may hold a token.
 */
const policyFor = (nonce: string): string =>
  [
    "default-src 'none'",
    `script-src 'self' 'nonce-${nonce}'`,
    "style-src 'self' 'unsafe-inline'",
    "font-src 'self' data:",
    "img-src 'self' data:",
    "worker-src 'self' blob: data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');

/** The package renders one page with everything inline; this takes the style and the script out of it again. */
async function loadAssets(): Promise<Map<string, Asset>> {
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql');
  const page = renderGraphiQL({});
  const style = between(page, '<style>', '</style>');
  const script = between(page, '<script>', '</script>');
  const library = script.slice(0, script.lastIndexOf('YogaGraphiQL.renderYogaGraphiQL('));
  return new Map([
    [graphiqlStylePath, await compress('text/css; charset=utf-8', style)],
    [graphiqlScriptPath, await compress('text/javascript; charset=utf-8', library)],
  ]);
}

function between(page: string, start: string, end: string): string {
  const from = page.indexOf(start) + start.length;
  const to = page.lastIndexOf(end);
  if (from < start.length || to < from) throw new Error('The GraphiQL package renders its page in another way now');
  return page.slice(from, to);
}

async function compress(type: string, text: string): Promise<Asset> {
  const gzipped = await promisify(gzip)(text);
  return { type, gzipped, etag: `"${createHash('sha256').update(gzipped).digest('base64url').slice(0, 22)}"` };
}
