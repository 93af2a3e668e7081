import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';
import { getAndHead, type Route } from './router.js';
import { createStaticFiles } from './static-files.js';

/** Resolves with the `Authorization` header for the first tab of the page; undefined for none. */
export type AuthorizePage = (request: IncomingMessage) => Promise<string | undefined>;

/** The build copies them from GraphiQL's package: see scripts/graphiql-files.mjs. */
const files = createStaticFiles({
  root: fileURLToPath(new URL('../../graphiql', import.meta.url)),
  headers: { 'cache-control': 'no-cache' },
});

/**
 * GraphiQL from this server alone: a small page with its options and the token, and the large static files.
 * @param isHome - whether `/` leads to it
 */
export const graphiqlRoutes = (authorize: AuthorizePage, { isHome }: { readonly isHome: boolean }): Route[] => [
  ...(isHome ? [home] : []),
  {
    methods: ['GET'],
    path: '/graphql',
    accept: 'text/html',
    handler: async (request, response) => sendPage(request, response, await authorize(request)),
  },
  { methods: getAndHead, path: '/graphql/*', handler: files },
];

const home: Route = {
  methods: getAndHead,
  path: '/',
  handler: (_request, response) => void response.writeHead(302, { location: 'graphql' }).end(),
};

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

/** URLs in the page are relative to its own, because a proxy may add a prefix to the path that this server does not know. */
function sendPage({ url = '' }: IncomingMessage, response: ServerResponse, authorization: string | undefined): void {
  const options = JSON.stringify({
    title: 'Fairway',
    // Over a WebSocket, GraphiQL would not send the headers of its editor, and so no token.
    subscriptionsProtocol: 'SSE',
    shouldPersistHeaders: false,
    defaultQuery: firstQuery,
    ...(authorization === undefined ? {} : { headers: JSON.stringify({ Authorization: authorization }, undefined, 2) }),
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

/**
 * The page may run scripts of this server only, and connect to no other. Its editor needs inline styles, fonts and workers.
 * Other sites must not show it in a frame, because it may contain a token.
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
