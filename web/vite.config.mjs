import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const root = import.meta.dirname;
const client = join(root, '../client/src');
/** The server that `npm run dev` passes requests on to. */
const server = process.env['FAIRWAY_URL'] ?? 'http://127.0.0.1:4000';

/**
 * The configuration of Vite, as a value: loaded from a file, Vite would write a copy of it into node_modules.
 * @param {import('vite').PluginOption[]} plugins further ones
 * @returns {import('vite').InlineConfig}
 */
export const createConfig = (...plugins) => ({
  configFile: false,
  root,
  // Relative, because a proxy may add a prefix to the path that the server does not know.
  base: './',
  plugins: [...plugins, serviceWorker(), emojiData(), serverSettings()],
  resolve: {
    alias: [
      { find: '@fairway/client/files', replacement: join(client, 'files/files.ts') },
      { find: '@fairway/client/react', replacement: join(client, 'react/hooks.ts') },
      { find: '@fairway/client', replacement: join(client, 'fairway.ts') },
    ],
  },
  build: {
    target: 'es2022',
    outDir: join(root, 'dist'),
    emptyOutDir: true,
    // The content security policy allows no inline file.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    proxy: {
      '/graphql': { target: server, ws: true },
      '/dev': { target: server },
      '/files': { target: server },
    },
  },
});

/** The same with hot reload of components. @returns {Promise<import('vite').InlineConfig>} */
export const createDevConfig = async () => {
  const { default: react } = await import('@vitejs/plugin-react');
  return createConfig(react());
};

/**
 * Writes the service worker with the names of all files that the app needs without a network.
 * @returns {import('vite').Plugin}
 */
function serviceWorker() {
  return {
    name: 'service-worker',
    apply: 'build',
    generateBundle(_options, bundle) {
      const built = Object.keys(bundle).filter((name) => !name.endsWith('.html') && !name.endsWith('.map'));
      const copied = listFiles(join(root, 'public'));
      const files = [...built, ...copied].map((name) => `./${name}`).sort();
      const source = readFileSync(join(root, 'src/service-worker.js'), 'utf8');
      this.emitFile({
        type: 'asset',
        fileName: 'service-worker.js',
        source: source.replace('/* files */', JSON.stringify(files).slice(1, -1)),
      });
    },
  };
}

/**
 * The data of the emoji picker in the languages of the app, beside its other files.
 * @returns {import('vite').Plugin}
 */
function emojiData() {
  const data = join(root, '../node_modules/emojibase-data');
  const names = ['ko', 'en'].flatMap((language) => [`${language}/data.json`, `${language}/messages.json`]);
  return {
    name: 'emoji-data',
    generateBundle() {
      for (const name of names) {
        this.emitFile({ type: 'asset', fileName: `emoji/${name}`, source: readFileSync(join(data, name)) });
      }
    },
    configureServer({ middlewares }) {
      middlewares.use('/emoji', (request, response, next) => {
        const name = names.find((known) => request.url === `/${known}`);
        if (name === undefined) return next();
        response.setHeader('content-type', 'application/json').end(readFileSync(join(data, name)));
      });
    },
  };
}

/**
 * In development, the page has the settings that the server writes into its own.
 * @returns {import('vite').Plugin}
 */
function serverSettings() {
  const settings = /<script type="application\/json" id="settings">.*?<\/script>/s;
  return {
    name: 'server-settings',
    apply: 'serve',
    transformIndexHtml: async (html, { path }) => {
      // The gallery has settings of its own, and no server.
      if (path !== '/index.html') return html;
      const page = await fetch(server).then((response) => response.text());
      return html.replace(settings, () => settings.exec(page)?.[0] ?? '');
    },
  };
}

/** @type {(folder: string) => string[]} */
const listFiles = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
