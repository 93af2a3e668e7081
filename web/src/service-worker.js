/**
 * Keeps the shell of the app: without a network it opens with what the client has stored. Hashed files are taken from the
 * cache; the page itself from the server, and from the cache where the server does not answer.
 */
/** Written by the build. @type {string[]} */
const files = [
  /* files */
];
/** A network that answers slower than this opens the stored page. */
const pageWithinMs = 3_000;

self.addEventListener('install', (event) => event.waitUntil(install()));
self.addEventListener('activate', (event) => event.waitUntil(activate()));
self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== self.location.origin) return;
  if (request.mode === 'navigate') {
    if (isPage(url)) event.respondWith(answerPage(request));
  } else if (url.pathname.includes('/assets/') || isShell(url)) {
    event.respondWith(answerFile(request));
  }
});

const scope = new URL('./', self.location.href);
/** Of this app alone: others may be served below the same origin. */
const cacheName = `fairway-shell ${scope.pathname}`;
const isPage = (url) => url.pathname === scope.pathname;
const isShell = (url) => files.some((file) => new URL(file, scope).pathname === url.pathname);

async function install() {
  const cache = await caches.open(cacheName);
  const known = new Set((await cache.keys()).map(({ url }) => url));
  const missing = files.filter((file) => !known.has(new URL(file, scope).href));
  await cache.addAll([...missing, './']);
  await self.skipWaiting();
}

/** Files of the build before stay until the next one: an open page may still ask for them. */
async function activate() {
  const cache = await caches.open(cacheName);
  const wanted = new Set([...files.map((file) => new URL(file, scope).href), scope.href]);
  const before = new Set(await readList(cache));
  for (const { url } of await cache.keys()) {
    if (!wanted.has(url) && !before.has(url) && url !== listUrl) await cache.delete(url);
  }
  await cache.put(listUrl, new Response(JSON.stringify([...wanted])));
  await self.clients.claim();
}

const listUrl = new URL('./service-worker-files.json', scope).href;

async function readList(cache) {
  const stored = await cache.match(listUrl);
  return stored === undefined ? [] : stored.json();
}

async function answerFile(request) {
  const stored = await caches.match(request, { cacheName, ignoreVary: true }).catch(() => undefined);
  return stored ?? fetch(request);
}

async function answerPage(request) {
  const fresh = fetch(request).then((response) => {
    // Not a sign-in or a notice of somebody else in the place of the page.
    if (response.ok && !response.redirected) keepPage(response.clone()).catch(() => undefined);
    return response;
  });
  const late = new Promise((resolve) => setTimeout(resolve, pageWithinMs));
  const first = await Promise.race([fresh.catch(() => undefined), late]);
  if (first !== undefined && first.status < 500) return first;
  const stored = await caches.match(scope.href, { cacheName }).catch(() => undefined);
  return stored ?? fresh;
}

async function keepPage(response) {
  const text = await response.clone().text();
  if (!text.includes('id="settings"')) return;
  const cache = await caches.open(cacheName);
  await cache.put(scope.href, response);
}
