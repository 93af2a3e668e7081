import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/** A document that the operator registers. */
export interface ManifestEntry {
  /** The hex digest of the text, as written in the manifest. */
  readonly id: string;
  readonly text: string;
  /** The file, and the operation if the manifest names it. */
  readonly place: string;
}

/** A mistake in a manifest or in one of its documents, with its place. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
  constructor(place: string, problem: string) {
    super(`TRUSTED_DOCUMENTS: ${place}: ${problem}`);
  }
}

const apolloFormat = 'apollo-persisted-query-manifest';
const apolloManifest = z.object({
  format: z.literal(apolloFormat, { error: `must be "${apolloFormat}"` }),
  version: z.literal(1, { error: 'must be 1' }),
  operations: z.array(z.unknown(), { error: 'must be a list' }),
});
const apolloOperation = z.object({ id: z.string(), name: z.string(), body: z.string() });

/** The hash algorithms of codegen, Relay and Apollo, by their number of hex digits. */
const algorithms: ReadonlyMap<number, string> = new Map([
  [32, 'md5'],
  [40, 'sha1'],
  [64, 'sha256'],
]);

export const sha256Of = (text: string): string => digest('sha256', text);

/**
 * Reads a manifest of graphql-codegen or Relay (`{ hash: text }`), one of Apollo, or a folder of `.graphql` files with one
 * document each.
 * @throws {ManifestError}
 */
export function readManifest(path: string): ManifestEntry[] {
  const entries = isFolder(path) ? readFolder(path) : readJson(path);
  for (const entry of entries) assertFits(entry);
  return entries;
}

function readFolder(path: string): ManifestEntry[] {
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.graphql'));
  return names.sort().map((name) => {
    const place = join(path, name);
    const text = readText(place);
    return { id: sha256Of(text), text, place };
  });
}

function readJson(path: string): ManifestEntry[] {
  const manifest = parseJson(path);
  if (typeof manifest !== 'object' || manifest === null || Array.isArray(manifest)) {
    throw new ManifestError(path, 'must be a JSON object');
  }
  if ('format' in manifest) return readApollo(path, manifest);
  return Object.entries(manifest).map(([id, text]) => {
    const place = `${path}, ${id}`;
    if (typeof text !== 'string') throw new ManifestError(place, 'must be the text of a document');
    return { id, text, place };
  });
}

function readApollo(path: string, manifest: object): ManifestEntry[] {
  const parsed = apolloManifest.safeParse(manifest);
  if (!parsed.success) throw new ManifestError(path, describeIssue(parsed.error));
  return parsed.data.operations.map((operation, index) => {
    const read = apolloOperation.safeParse(operation);
    if (!read.success) throw new ManifestError(`${path}, operation ${index + 1}`, describeIssue(read.error));
    const { id, name, body } = read.data;
    return { id, text: body, place: `${path}, operation ${name}` };
  });
}

function describeIssue({ issues }: z.ZodError): string {
  const [issue] = issues;
  return `${issue?.path.join('.')} ${issue?.message}`.trim();
}

/** Checks that the id is the digest of the text: otherwise it may belong to another version of the document. */
function assertFits({ id, text, place }: ManifestEntry): void {
  const hex = withoutPrefix(id);
  const algorithm = /^[0-9a-f]+$/.test(hex) ? algorithms.get(hex.length) : undefined;
  if (algorithm === undefined) {
    throw new ManifestError(
      place,
      `the id "${id.slice(0, 100)}" must be a sha256, sha1 or md5 in lower-case hex digits`,
    );
  }
  const actual = digest(algorithm, text);
  if (actual !== hex) {
    throw new ManifestError(place, `the id ${hex} does not fit the text, whose ${algorithm} is ${actual}`);
  }
}

/** GraphQL over HTTP writes `sha256:` before the digest. */
export const withoutPrefix = (id: string): string => id.replace(/^sha256:/, '');

const digest = (algorithm: string, text: string): string => createHash(algorithm).update(text, 'utf8').digest('hex');

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    throw unreadable(path, error);
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw unreadable(path, error);
  }
}

function parseJson(path: string): unknown {
  const text = readText(path);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ManifestError(path, `is not JSON: ${(error as Error).message}`);
  }
}

const unreadable = (path: string, error: unknown): ManifestError =>
  new ManifestError(path, `cannot be read (${(error as NodeJS.ErrnoException).code})`);
