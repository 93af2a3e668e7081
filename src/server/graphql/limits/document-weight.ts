import type { DocumentNode } from 'graphql';

/** Measured: a token with its nodes takes up to 500 bytes of heap; selections of short names take the most. */
const bytesPerToken = 500;
const bytesPerChar = 2;

const known = new WeakMap<DocumentNode, number>();

/** An upper bound of a parsed document's heap size in bytes. The text's length alone is not enough: names may be short. */
export function documentWeight(document: DocumentNode): number {
  let weight = known.get(document);
  if (weight === undefined) {
    weight = weigh(document);
    known.set(document, weight);
  }
  return weight;
}

function weigh({ loc }: DocumentNode): number {
  let tokens = 1;
  for (let token = loc?.startToken; token != null; token = token.next ?? undefined) tokens += 1;
  return tokens * bytesPerToken + (loc?.source.body.length ?? 0) * bytesPerChar;
}
