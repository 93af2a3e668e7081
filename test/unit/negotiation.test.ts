import { describe, expect, it } from 'vitest';
import { negotiate, refusalType } from '../../src/server/http/negotiation.js';

const json = 'application/json';
const graphql = 'application/graphql-response+json';
const sse = 'text/event-stream';
const apollo = 'multipart/mixed;boundary=graphql;subscriptionSpec=1.0';

describe('negotiate', () => {
  it.each([
    ['nothing', undefined, json, 'sse'],
    ['anything', '*/*', json, 'sse'],
    ['JSON', json, json, null],
    ['JSON in capitals', 'Application/JSON', json, null],
    ['the newer JSON', graphql, graphql, null],
    ['both, the newer one first', `${graphql}, ${json}`, graphql, null],
    ['both, the older one first', `${json}, ${graphql}`, json, null],
    ['both, with weights', `${json};q=0.5, ${graphql};q=0.8`, graphql, null],
    ['any application type', 'application/*', json, null],
    ['the newer one or anything', `${graphql}, */*`, graphql, 'sse'],
    ['the newer one less than anything', `${graphql};q=0.1, */*`, json, 'sse'],
    ['SSE alone, as graphql-sse', sse, sse, 'sse'],
    ['everything, as urql', `${graphql}, application/graphql+json, ${json}, ${sse}, multipart/mixed`, graphql, 'sse'],
    ["parts, as Apollo Client's", `${apollo},${graphql},${json};q=0.9`, graphql, 'multipart'],
    [
      "parts, as Apollo Client's older",
      `multipart/mixed;boundary="graphql";subscriptionSpec="1.0",${json}`,
      json,
      'multipart',
    ],
    ["parts, as Apollo Kotlin's", `multipart/mixed;subscriptionSpec=1.0, ${graphql}, ${json}`, graphql, 'multipart'],
    ['parts alone', apollo, json, 'multipart'],
    ['parts less than SSE', `${apollo};q=0.5, ${sse}, ${json}`, json, 'sse'],
    ['parts of another protocol', `multipart/mixed;deferSpec=20220824, ${json}`, json, null],
    ['no SSE', `*/*, ${sse};q=0`, json, null],
    ['the other name of UTF-8', `${json};charset=utf8`, json, null],
    ['another character set at first', `${graphql};charset=latin1, ${json}`, json, null],
    ['a page, as a browser', 'text/html,application/xhtml+xml,*/*;q=0.8', json, 'sse'],
  ])('finds the formats for a client that accepts %s', (_what, accept, answer, stream) => {
    expect(negotiate(accept)).toEqual({ answer, stream });
  });

  it.each(['text/html', 'image/png, text/plain', 'multipart/mixed', `${json};q=0`, ''])(
    'finds no format for %j',
    (accept) => {
      expect(negotiate(accept)).toBeNull();
    },
  );
});

describe('refusalType', () => {
  it.each([
    [undefined, json],
    [json, json],
    [`${graphql}, ${json};q=0.9`, graphql],
    [`${apollo},${graphql},${json}`, graphql],
    [sse, json],
    ['image/png', json],
  ])('answers %j with %s', (accept, type) => {
    expect(refusalType(accept)).toBe(type);
  });
});
