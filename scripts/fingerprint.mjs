import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './run-command.mjs';

/**
 * A hash of the names and contents of files and folders, to decide whether output is out of date. It uses contents because
 * modification times mean nothing in a fresh clone; some hundred small files take a few milliseconds.
 * @param {string[]} paths relative to the project; they may be missing, which the hash reflects
 * @param {{ except?: string[] }} [options]
 */
export function fingerprint(paths, { except = [] } = {}) {
  const hash = createHash('sha256');
  for (const path of paths.flatMap((path) => filesUnder(path, except))) {
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update('\0');
  }
  return hash.digest('hex');
}

/**
 * @param {string} path
 * @param {string[]} except
 * @returns {string[]}
 */
function filesUnder(path, except) {
  const absolute = join(root, path);
  if (except.includes(path) || !existsSync(absolute)) return [];
  if (!statSync(absolute).isDirectory()) return [path];
  return readdirSync(absolute)
    .sort()
    .flatMap((name) => filesUnder(`${path}/${name}`, except));
}

/** @param {string} path */
export function readStamp(path) {
  const absolute = join(root, path);
  return existsSync(absolute) ? readFileSync(absolute, 'utf8') : undefined;
}
