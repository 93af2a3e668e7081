import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { root } from './run-command.mjs';

/**
 * Writes GraphiQL's script and style sheet, each also compressed, into a folder that the server serves. The package renders
 * one page with both inline, from which they are extracted.
 * @param {string} folder
 */
export async function writeGraphiqlFiles(folder) {
  // A dynamic import, because packages may be installed after this file is loaded.
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql');
  const page = renderGraphiQL({});
  const script = between(page, '<script>', '</script>');
  const files = {
    'graphiql.css': between(page, '<style>', '</style>'),
    'graphiql.js': script.slice(0, script.lastIndexOf('YogaGraphiQL.renderYogaGraphiQL(')),
  };
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(folder, name), text);
    await writeFile(join(folder, `${name}.gz`), await promisify(gzip)(text));
  }
}

/** @type {(page: string, start: string, end: string) => string} */
function between(page, start, end) {
  const from = page.indexOf(start) + start.length;
  const to = page.lastIndexOf(end);
  if (from < start.length || to < from) throw new Error('The GraphiQL package renders its page in another way now');
  return page.slice(from, to);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  await writeGraphiqlFiles(join(root, 'dist/graphiql'));
