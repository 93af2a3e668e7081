import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
import { root, runQuietly } from './run-command.mjs';

const web = join(root, 'web');
const compressible = /\.(js|css|svg|json|webmanifest)$/;
/** Below this size, compressing saves nothing on the network. */
const minBytes = 1_000;

/**
 * Builds the chat app into web/dist, each file also compressed. The files of the build before stay: a page that was opened
 * with it may still ask for them.
 */
export async function buildWeb() {
  const fresh = join(web, `dist.${process.pid}`);
  const stale = join(web, `dist.${process.pid}.stale`);
  const target = join(web, 'dist');
  try {
    await runQuietly(process.execPath, [fileURLToPath(import.meta.url), fresh]);
    const assets = readdirSync(join(fresh, 'assets'));
    writeFileSync(join(fresh, 'assets.json'), JSON.stringify(assets));
    await Promise.all(listFiles(fresh).map(compress));
    keepPrevious(target, fresh);
    if (existsSync(target)) renameSync(target, stale);
    renameSync(fresh, target);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
    rmSync(stale, { recursive: true, force: true });
  }
}

/** @type {(before: string, fresh: string) => void} */
function keepPrevious(before, fresh) {
  const list = join(before, 'assets.json');
  if (!existsSync(list)) return;
  /** @type {string[]} */
  const names = JSON.parse(readFileSync(list, 'utf8'));
  mkdirSync(join(fresh, 'assets'), { recursive: true });
  for (const name of names.flatMap((asset) => [asset, `${asset}.gz`, `${asset}.br`])) {
    const from = join(before, 'assets', name);
    const to = join(fresh, 'assets', name);
    if (existsSync(from) && !existsSync(to)) cpSync(from, to);
  }
}

/** @param {string} path */
async function compress(path) {
  const text = readFileSync(path);
  if (!compressible.test(path) || text.length < minBytes) return;
  writeFileSync(`${path}.gz`, await promisify(gzip)(text, { level: 9 }));
  writeFileSync(`${path}.br`, await promisify(brotliCompress)(text));
}

/** @type {(folder: string) => string[]} */
const listFiles = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

/** In a process of its own: Vite sets NODE_ENV, which the server must not inherit. */
async function runVite(outDir = '') {
  const { build } = await import('vite');
  const { createConfig } = await import('../web/vite.config.mjs');
  const config = createConfig();
  await build({ ...config, logLevel: 'warn', build: { ...config.build, outDir } });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await runVite(process.argv[2]);
