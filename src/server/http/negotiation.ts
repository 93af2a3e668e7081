/** The response types that a client prefers, by the weights of its `Accept` header. */
export interface Wanted {
  /** For a single response. A client that accepts nothing but SSE gets an SSE stream with one result. */
  readonly answer: AnswerType;
  /** For the results of a subscription; null if the client accepts no stream. */
  readonly stream: StreamType | null;
}

export type JsonType = 'application/json' | 'application/graphql-response+json';
export type AnswerType = JsonType | 'text/event-stream';
export type StreamType = 'sse' | 'multipart';

interface Range {
  readonly type: string;
  readonly weight: number;
  readonly isApolloStream: boolean;
}

const jsonTypes: readonly JsonType[] = ['application/json', 'application/graphql-response+json'];

/** Returns null if the client accepts none of the types that this server has. */
export function negotiate(accept: string | undefined): Wanted | null {
  const ranges = parseAccept(accept ?? '*/*');
  const json = best(jsonTypes, (type, range) => matches(range, type), ranges);
  const stream = best<StreamType>(
    ['sse', 'multipart'],
    (type, range) => (type === 'sse' ? matches(range, 'text/event-stream') : matchOf(range.isApolloStream)),
    ranges,
  );
  if (json !== null) return { answer: json, stream };
  if (stream === null) return null;
  // Apollo's protocol is for subscriptions: a single response is plain JSON.
  return { answer: stream === 'sse' ? 'text/event-stream' : 'application/json', stream };
}

/** The JSON type of a refusal before anything else is known about the request. */
export const refusalType = (accept: string | undefined): JsonType =>
  best(jsonTypes, (type, range) => matches(range, type), parseAccept(accept ?? '*/*')) ?? 'application/json';

/** How closely a range matches a type: 0 not at all, 3 exactly. */
type Match = 0 | 1 | 2 | 3;
const matchOf = (isExact: boolean): Match => (isExact ? 3 : 0);

function matches({ type }: Range, wanted: string): Match {
  if (type === wanted) return 3;
  if (type === '*/*') return 1;
  return type.endsWith('/*') && wanted.startsWith(type.slice(0, -1)) ? 2 : 0;
}

/**
 * Returns the candidate with the highest weight, and among equals the first that the client names; those that only a wildcard
 * matches come last.
 */
function best<Candidate>(
  candidates: readonly Candidate[],
  match: (candidate: Candidate, range: Range) => Match,
  ranges: readonly Range[],
): Candidate | null {
  let found: { readonly candidate: Candidate; readonly weight: number; readonly place: number } | null = null;
  for (const candidate of candidates) {
    let closest: Match = 0;
    let weight = 0;
    let place = ranges.length;
    ranges.forEach((range, index) => {
      const closeness = match(candidate, range);
      if (closeness <= closest) return;
      closest = closeness;
      weight = range.weight;
      place = closeness === 3 ? index : ranges.length;
    });
    if (weight === 0) continue;
    if (found === null || weight > found.weight || (weight === found.weight && place < found.place)) {
      found = { candidate, weight, place };
    }
  }
  return found?.candidate ?? null;
}

/** Ignores ranges with another charset than UTF-8, which this server does not have. */
function parseAccept(accept: string): Range[] {
  const ranges: Range[] = [];
  for (const item of accept.toLowerCase().split(',')) {
    const [type = '', ...rest] = item.split(';').map((part) => part.trim());
    const parameters = new Map(rest.map(parseParameter));
    if (!/^utf-?8$/.test(parameters.get('charset') ?? 'utf-8')) continue;
    const weight = Number(parameters.get('q') ?? 1);
    ranges.push({
      type,
      weight: weight >= 0 && weight <= 1 ? weight : 1,
      isApolloStream: type === 'multipart/mixed' && parameters.get('subscriptionspec') === '1.0',
    });
  }
  return ranges;
}

function parseParameter(text: string): [string, string] {
  const [name = '', value = ''] = text.split('=', 2);
  return [name.trim(), value.trim().replace(/^"(.*)"$/, '$1')];
}
