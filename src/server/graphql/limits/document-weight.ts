import type { DocumentNode } from 'graphql';

/** Measured: a token with its nodes costs up to 500 bytes of heap, most in a selection of short names. */
const bytesPerToken = 500;
const bytesPerChar = 2;

const known = new WeakMap<DocumentNode, number>();

/** The bytes of heap that a parsed document holds, at most: its text alone says little, names are as short as one likes. */
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
