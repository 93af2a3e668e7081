import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DocumentNode, Kind, parse, print, type SelectionSetNode, visit } from 'graphql';

/** The JSON values of an operation's variables, in the order in which the operation declares them. */
export type Variables = Readonly<Record<string, unknown>>;

export interface WireOperation {
  readonly name: string;
  readonly variables: Variables;
}

/** What a request carries: the text, the hash of the text (persisted queries), or both. */
export interface Carried {
  readonly text: boolean;
  readonly hash: boolean;
}

const textAlone: Carried = { text: true, hash: false };

/** What one of Apollo's native clients writes on the wire, byte for byte. */
export interface ApolloWire {
  /** The text that the client's code generator makes of a document. */
  textOf(document: string): string;
  connectionInit(token?: string): string;
  subscribe(id: string, operation: WireOperation, carried?: Carried): string;
  complete(id: string): string;
  readonly ping: string;
  readonly pong: string;
  /** The body of a POST. */
  body(operation: WireOperation, carried?: Carried): string;
  /** The headers that the client's sources add to a POST, in their order. */
  headers(kind: 'operation' | 'subscription', token: string): readonly string[];
}

const operations = join(import.meta.dirname, '../../clients/operations');

/** The operations of a complete client, by the names of their files. */
export const operationNames: readonly string[] = readdirSync(operations).map((file) => file.replace('.graphql', ''));

export const operationText = (name: string): string => readFileSync(join(operations, `${name}.graphql`), 'utf8');

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Apollo iOS 2.4.0. */
export const apolloIos: ApolloWire = {
  // apollo-ios-codegen, GraphQLCompiler/JavaScript/src/utilities/graphql.ts: `__typename` in the selection of each field and
  // fragment. String+SingleLineConversion.swift and OperationDescriptor.swift: each definition in one line of its own.
  textOf: (document) => {
    const complete = withTypenames(document, ({ kind }) => kind === Kind.FIELD || kind === Kind.FRAGMENT_DEFINITION);
    return complete.definitions.map((definition) => toOneLine(print(definition))).join('\n');
  },
  // ApolloWebSocket/WebSocketMessage.swift, toWebSocketMessage()
  connectionInit: (token) =>
    token === undefined
      ? '{"type":"connection_init"}'
      : `{"type":"connection_init","payload":{"authorization":"Bearer ${token}"}}`,
  subscribe: (id, operation, carried) =>
    `{"type":"subscribe","id":"${id}","payload":${apolloIos.body(operation, carried)}}`,
  complete: (id) => `{"type":"complete","id":"${id}"}`,
  ping: '{"type":"ping"}',
  pong: '{"type":"pong"}',
  // Apollo/RequestBodyCreator.swift, ClientAwarenessMetadata.swift and JSONSerializationFormat.swift, which sorts the keys
  body: ({ name, variables }, { text, hash } = textAlone) => {
    const document = apolloIos.textOf(operationText(name));
    return toSortedJson({
      operationName: name,
      variables,
      ...(text ? { query: document } : {}),
      extensions: {
        ...(hash ? { persistedQuery: { sha256Hash: sha256(document), version: 1 } } : {}),
        clientLibrary: { name: 'apollo-ios', version: '2.4.0' },
      },
    });
  },
  // Apollo/JSONRequest.swift, setupDefaultHeaders()
  headers: (kind, token) => [
    'Content-Type: application/json',
    kind === 'subscription'
      ? 'Accept: multipart/mixed;subscriptionSpec=1.0,application/graphql-response+json,application/json'
      : 'Accept: multipart/mixed;deferSpec=20220824,application/graphql-response+json,application/json',
    `Authorization: Bearer ${token}`,
  ],
};

/** Apollo Kotlin 5.1.0. */
export const apolloKotlin: ApolloWire = {
  // ApolloExecutableDocumentTransform.kt: `__typename` beside each fragment. QueryDocumentMinifier.kt: all in one line.
  textOf: (document) => print(withTypenames(document, hasFragment)).replace(/\s */g, ' '),
  // network/websocket/GraphQLWsProtocol.kt
  connectionInit: (token) =>
    token === undefined
      ? '{"type":"connection_init"}'
      : `{"type":"connection_init","payload":{"authorization":"Bearer ${token}"}}`,
  subscribe: (id, operation, carried) =>
    `{"type":"subscribe","id":"${id}","payload":${apolloKotlin.body(operation, carried)}}`,
  complete: (id) => `{"type":"complete","id":"${id}"}`,
  ping: '{"type":"ping"}',
  pong: '{"type":"pong"}',
  // apollo-api, RequestParameters.kt: toRequestParameters() and toMap(). Nothing is written for absent variables.
  body: ({ name, variables }, { text, hash } = textAlone) => {
    const document = apolloKotlin.textOf(operationText(name));
    return JSON.stringify({
      ...(text ? { query: document } : {}),
      operationName: name,
      ...(Object.keys(variables).length > 0 ? { variables } : {}),
      extensions: {
        ...(hash ? { persistedQuery: { version: 1, sha256Hash: sha256(document) } } : {}),
        clientLibrary: { name: 'apollo-kotlin', version: '5.1.0' },
      },
    });
  },
  // network/http/HttpNetworkTransport.kt, execute(), and IncrementalDeliveryProtocolImpl.kt
  headers: (kind, token) => [
    `Authorization: Bearer ${token}`,
    kind === 'subscription'
      ? 'accept: multipart/mixed;subscriptionSpec=1.0, application/graphql-response+json, application/json'
      : 'accept: multipart/mixed;deferSpec=20220824, application/graphql-response+json, application/json',
    'Content-Type: application/json',
  ],
};

/** Adds `__typename` in front of the selections that `isFit` names by their parent or content, unless they have one. */
function withTypenames(
  document: string,
  isFit: (parent: { readonly kind: string }, selections: SelectionSetNode) => boolean,
): DocumentNode {
  return visit(parse(document, { noLocation: true }), {
    SelectionSet: {
      leave: (node, _key, parent) => {
        const owner = parent as { readonly kind: string };
        const hasName = node.selections.some((it) => it.kind === Kind.FIELD && it.name.value === '__typename');
        if (hasName || !isFit(owner, node)) return undefined;
        return { ...node, selections: [typename, ...node.selections] };
      },
    },
  });
}

const typename = { kind: Kind.FIELD, name: { kind: Kind.NAME, value: '__typename' } } as const;

const hasFragment = (_parent: unknown, { selections }: SelectionSetNode): boolean =>
  selections.some(({ kind }) => kind !== Kind.FIELD);

const toOneLine = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.trim())
    .join(' ');

/** JSON as Foundation's JSONSerialization writes it with `.sortedKeys`: without spaces, and with escaped slashes. */
function toSortedJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  ).replaceAll('/', '\\/');
}
