import { join } from 'node:path';
import { build } from 'rolldown';

/** A file of this folder with all that it imports, as one script for a browser. */
export async function bundle(file: string): Promise<string> {
  const { output } = await build({
    input: join(import.meta.dirname, file),
    write: false,
    platform: 'browser',
    transform: { define: { 'process.env.NODE_ENV': '"development"' } },
    output: { format: 'iife', name: 'page' },
  });
  return output.map((chunk) => ('code' in chunk ? chunk.code : '')).join('');
}
