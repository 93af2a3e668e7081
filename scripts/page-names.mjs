import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { root } from './run-command.mjs';

/** The folders of the files that pages name, and of the code with the names in ARCHITECTURE.md. */
const folders = ['src', 'scripts', 'prisma', 'test', 'clients', 'bench', 'deploy', 'docs', 'client/src', 'web/src'];
const codePattern = /\.(tsx?|mjs|sql|prisma|conf)$/;

const fence = /```[\s\S]*?```/g;
const linkPattern = /\]\(([^)#\s:]+)(?:#[^)]*)?\)/g;
const spanPattern = /`([^`\n]+)`/g;
/** A file of code, perhaps without its first folders: `room-feed.ts`, `db/changes.ts`. */
const filePattern = /^[\w.-]+(?:\/[\w.-]+)*\.(?:ts|mjs|sql|prisma)$/;
const folderPattern = new RegExp(`^(?!.*node_modules)(?:${folders.join('|')})(?:/[\\w-]+)*/?$`);
/** A name in TypeScript or of an SQL function. */
const namePattern = /^(?:[a-z]*[A-Z]\w*|chat_\w+)$/;

/** @returns {string} the links, files and names in pages that do not exist, one per line */
export function findMissingNames() {
  const files = folders.flatMap(listFiles);
  const code = files.filter((file) => codePattern.test(file) && existsSync(join(root, file)));
  const words = new Set(code.flatMap((file) => readFileSync(join(root, file), 'utf8').match(/\w+/g) ?? []));
  const isFile = (/** @type {string} */ name) => files.some((file) => `/${file}`.endsWith(`/${name}`));
  const pages = [...readdirSync(root), ...files].filter((file) => file.endsWith('.md'));
  return pages
    .flatMap((page) => {
      const text = readFileSync(join(root, page), 'utf8').replace(fence, '');
      const spans = matches(text, spanPattern);
      const names =
        page === 'ARCHITECTURE.md' ? spans.filter((span) => namePattern.test(span) && !words.has(span)) : [];
      const missing = [
        ...matches(text, linkPattern).filter((link) => !existsSync(join(root, dirname(page), link))),
        ...spans.filter((span) => folderPattern.test(span) && !existsSync(join(root, span))),
        ...spans.filter((span) => filePattern.test(span) && !isFile(span)),
        ...names,
      ];
      return missing.map((name) => `${page}: there is no ${name}`);
    })
    .join('\n');
}

/** @type {(text: string, pattern: RegExp) => string[]} */
const matches = (text, pattern) => [...text.matchAll(pattern)].map(([, found]) => found ?? '');

/** @type {(folder: string) => string[]} */
const listFiles = (folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('node_modules'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll('\\', '/'));
