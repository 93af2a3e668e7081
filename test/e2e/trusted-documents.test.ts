import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { print } from 'graphql';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { createResumingSocket } from '../../clients/resume.js';
import type { TestClient } from '../support/client.js';
import { type Instance, spawnInstance } from '../support/instance.js';
import { apolloAccept, MultipartStream } from '../support/multipart.js';
import { describeWithNats } from '../support/requirements.js';
import { startTcpProxy } from '../support/tcp-proxy.js';
import { waitFor } from '../support/wait-for.js';
import { type Operation, postOperation, RawSocket, readAnswer } from '../support/wire.js';
import { useWorld } from '../support/world.js';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const byHash = (text: string) => ({ extensions: { persistedQuery: { version: 1, sha256Hash: sha256(text) } } });

const graphqlJson = 'application/graphql-response+json';
const viewer = 'query Viewer { viewer { id } }';
const unread = 'query Unread { unreadCount }';
const two = 'query One { viewer { id } } query Two { viewer { name } }';
const page =
  'query Page($roomId: ID!, $last: Int!) { room(id: $roomId) { messages(last: $last) { edges { node { seq } } } } }';
const send = 'mutation Send($input: SendMessageInput!) { sendMessage(input: $input) { duplicate message { seq } } }';
const watch = `subscription Watch($roomId: ID!, $afterSeq: Int, $epoch: ID) {
  roomEvents(roomId: $roomId, afterSeq: $afterSeq, epoch: $epoch) { __typename seq epoch }
}`;
/** The document as Apollo Client sends it. */
const people = print(
  new InMemoryCache().transformDocument(gql('query People($ids: [ID!]!) { users(ids: $ids) { id } }')),
);

const ownFolder = join(import.meta.dirname, '../../clients/operations');
const ownText = (name: string) => readFileSync(join(ownFolder, `${name}.graphql`), 'utf8');

const notRegistered = {
  message: 'This server executes registered documents only, and this is none of them',
  extensions: { code: 'DOCUMENT_NOT_REGISTERED' },
};

let folder: string;
let manifest: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fairway-trusted-'));
  manifest = join(folder, 'operations.json');
  const operations = { Viewer: viewer, One: two, Page: page, Send: send, Watch: watch, People: people };
  writeFileSync(
    manifest,
    JSON.stringify({
      format: 'apollo-persisted-query-manifest',
      version: 1,
      operations: Object.entries(operations).map(([name, body]) => ({ id: sha256(body), name, type: 'query', body })),
    }),
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

describeWithNats('trusted documents', () => {
  const world = useWorld({ instances: 0 });
  let instance: Instance;
  let strict: Instance;
  let kim: TestClient;

  beforeAll(async () => {
    instance = await world.start({ TRUSTED_DOCUMENTS: manifest, SENDS_PER_MINUTE: '1000000' });
    strict = await world.start({ TRUSTED_DOCUMENTS: manifest, TRUSTED_DOCUMENTS_ONLY: 'true', GRAPHIQL: '' });
    kim = await world.client(4);
  });

  const asKim = (accept = 'application/json') => ({ authorization: `Bearer ${kim.token}`, accept });
  const post = (operation: Operation, { to = instance, accept = 'application/json' } = {}) =>
    postOperation(to, operation, asKim(accept));
  const get = async (
    { variables, extensions, ...rest }: Operation,
    { to = instance, accept = 'application/json' } = {},
  ) => {
    const parameters = new URLSearchParams(rest as Record<string, string>);
    for (const [name, value] of Object.entries({ variables, extensions })) {
      if (value !== undefined) parameters.set(name, JSON.stringify(value));
    }
    return readAnswer(await fetch(`${to.url}/graphql?${parameters}`, { headers: asKim(accept) }));
  };
  async function openSocket(to = instance): Promise<RawSocket> {
    const socket = await RawSocket.connect(to, kim.token);
    onTestFinished(() => socket.ws.terminate());
    return socket;
  }

  describe('are executed by their ids', () => {
    it.each([
      ['documentId', { documentId: sha256(viewer) }],
      ['documentId with its prefix', { documentId: `sha256:${sha256(viewer)}` }],
      ['documentId beside an empty text', { query: '', documentId: sha256(viewer) }],
      ["Apollo's hash", byHash(viewer)],
      ["Apollo's hash beside the text", { query: viewer, ...byHash(viewer) }],
      ['the text alone', { query: viewer }],
    ])('with %s, over HTTP and WebSocket, registered documents only or not', async (_what, operation) => {
      for (const to of [instance, strict]) {
        const socket = await openSocket(to);
        const answers = [await post(operation, { to }), await get(operation, { to }), await socket.ask(operation)];
        for (const { data, errors } of answers) expect({ data, errors }).toEqual({ data: { viewer: { id: '4' } } });
      }
    });

    it('by operationName if there are several operations', async () => {
      const socket = await openSocket();
      const ask = async (operationName?: string) => {
        const operation = { documentId: sha256(two), ...(operationName === undefined ? {} : { operationName }) };
        const answers = [await post(operation), await get(operation), await socket.ask(operation)];
        return answers.map(({ data, errors }) => data?.viewer ?? errors?.[0]?.extensions.code);
      };
      expect(await ask('One')).toEqual(Array(3).fill({ id: '4' }));
      expect(await ask('Two')).toEqual(Array(3).fill({ name: '김철수' }));
      expect(await ask('Three')).toEqual(Array(3).fill('BAD_USER_INPUT'));
      expect(await ask()).toEqual(Array(3).fill('BAD_USER_INPUT'));
    });

    it('and those of the project need no setting', async () => {
      const other = await world.start();
      const roomId = await kim.group(5);
      const documentId = sha256(ownText('SendMessage'));
      const { data, errors } = await post(
        { documentId, variables: { input: { roomId, content: 'by id' } } },
        { to: other },
      );
      expect({ data, errors }).toMatchObject({ data: { sendMessage: { duplicate: false, message: { seq: 2 } } } });
      await other.stop();
    });

    it('and return the same as interpreted documents', async () => {
      const roomId = await kim.group(5, 6);
      for (const content of ['1', '2', '3']) await kim.send(roomId, content);
      const variables = { roomId, first: 3, last: 2, userIds: ['5', '6'] };
      const queries = readdirSync(ownFolder).map((name) => readFileSync(join(ownFolder, name), 'utf8'));
      for (const query of queries.filter((text) => text.startsWith('query'))) {
        const [registered, other] = [await post({ query, variables }), await post({ query: `${query}\n`, variables })];
        expect(registered.errors).toBeUndefined();
        expect(registered.text).toBe(other.text);
      }
    });
  });

  describe('obey the same rules as all documents', () => {
    it('for the token', async () => {
      const answer = await postOperation(instance, { documentId: sha256(viewer) });
      expect(answer.errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
    });

    it('for variables: of a wrong type, beyond a page, nested too deep', async () => {
      const roomId = await kim.group(5);
      const socket = await openSocket();
      const nested = JSON.parse(`${'['.repeat(40)}${']'.repeat(40)}`);
      for (const variables of [
        { roomId },
        { roomId, last: 'two' },
        { roomId, last: 1_000 },
        { roomId, last: nested },
      ]) {
        const operation = { documentId: sha256(page), variables };
        for (const { errors } of [await post(operation), await socket.ask(operation)]) {
          expect(errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT');
        }
      }
    });

    it('for prices and rates', async () => {
      const small = await world.start({ TRUSTED_DOCUMENTS: manifest, MAX_COMPLEXITY: '50', SENDS_PER_MINUTE: '1' });
      const roomId = await kim.group(5);
      const dear = await post({ documentId: sha256(page), variables: { roomId, last: 100 } }, { to: small });
      expect(dear.errors?.[0]?.message).toMatch(/may touch \d+ fields; at most 50 are allowed/);
      const sends = [1, 2].map(() =>
        post({ documentId: sha256(send), variables: { input: { roomId, content: 'x' } } }, { to: small }),
      );
      const codes = (await Promise.all(sends)).map(({ errors }) => errors?.[0]?.extensions.code);
      expect(codes.sort()).toEqual(['RATE_LIMITED', undefined]);
      await small.stop();
    });

    it('for changes by GET', async () => {
      const roomId = await kim.group(5);
      const { status } = await get({ documentId: sha256(send), variables: { input: { roomId, content: 'x' } } });
      expect(status).toBe(405);
    });
  });

  describe('an id that nobody has registered', () => {
    it('is refused with its code, and the socket stays open', async () => {
      const socket = await openSocket();
      for (const documentId of ['f'.repeat(64), 'f'.repeat(100_000), '__proto__', 'toString']) {
        for (const [accept, status] of [
          ['application/json', 200],
          [graphqlJson, 400],
        ] as const) {
          const answers = [await post({ documentId }, { accept })];
          if (documentId.length < 1_000) answers.push(await get({ documentId }, { accept }));
          for (const { status: actual, errors } of answers) {
            expect([actual, errors?.[0]?.extensions.code]).toEqual([status, 'DOCUMENT_NOT_REGISTERED']);
          }
        }
        expect((await socket.ask({ documentId })).errors?.[0]?.extensions.code).toBe('DOCUMENT_NOT_REGISTERED');
      }
      expect((await socket.ask({ documentId: 7 })).errors?.[0]?.message).toBe('documentId must be a string');
      expect((await post({ documentId: 7 }, { accept: graphqlJson })).status).toBe(400);
      expect((await socket.ask({ query: viewer })).data).toEqual({ viewer: { id: '4' } });
    });

    it("in Apollo's form is answered so that clients send the text, and the text is not kept", async () => {
      const socket = await openSocket();
      for (let time = 0; time < 2; time += 1) {
        for (const accept of ['application/json', graphqlJson]) {
          for (const { status, errors } of [
            await post(byHash(unread), { accept }),
            await get(byHash(unread), { accept }),
          ]) {
            expect(status).toBe(200);
            expect(errors).toEqual([
              { message: 'PersistedQueryNotFound', extensions: { code: 'DOCUMENT_NOT_REGISTERED' } },
            ]);
          }
        }
        expect((await socket.ask(byHash(unread))).errors).toEqual([
          { message: 'PersistedQueryNotFound', extensions: { code: 'DOCUMENT_NOT_REGISTERED' } },
        ]);
        expect((await post({ query: unread, ...byHash(unread) })).data).toEqual({ unreadCount: expect.any(Number) });
      }
    });

    it('and no text at all closes the socket as a protocol error', async () => {
      const socket = await openSocket();
      socket.subscribe('1', { variables: {} });
      expect(await socket.closeCode()).toBe(4400);
    });
  });

  describe('Apollo Client with persisted queries', () => {
    const createClient = (to: Instance) => {
      const bodies: Record<string, unknown>[] = [];
      const http = new HttpLink({
        uri: `${to.url}/graphql`,
        fetch: (url, init) => {
          bodies.push(JSON.parse(String(init?.body)));
          return fetch(url, { ...init, headers: { ...init?.headers, authorization: `Bearer ${kim.token}` } });
        },
      });
      const link = new PersistedQueryLink({ sha256 }).concat(http);
      return { client: new ApolloClient({ link, cache: new InMemoryCache() }), bodies };
    };

    it('sends a registered document by its hash alone', async () => {
      for (const to of [instance, strict]) {
        const { client, bodies } = createClient(to);
        const { data } = await client.query({ query: gql(people), variables: { ids: ['4'] } });
        expect(data).toEqual({ users: [{ __typename: 'User', id: '4' }] });
        expect(bodies.map(({ query }) => query)).toEqual([undefined]);
      }
    });

    it('sends the text of another document, and continues with hashes', async () => {
      const { client, bodies } = createClient(instance);
      const { data } = await client.query({ query: gql(unread) });
      expect(data).toEqual({ unreadCount: expect.any(Number) });
      await client.query({ query: gql(people), variables: { ids: ['4'] } });
      expect(bodies.map(({ query }) => query !== undefined)).toEqual([false, true, false]);
    });

    it('gets an error if other documents are refused', async () => {
      const { client, bodies } = createClient(strict);
      await expect(client.query({ query: gql(unread) })).rejects.toMatchObject({ errors: [notRegistered] });
      expect(bodies).toHaveLength(1);
    });
  });

  describe('as the only allowed documents', () => {
    it.each([
      ['a text', { query: unread }],
      ['a text that differs by a space', { query: `${viewer} ` }],
      ['a text beside an unknown id', { query: unread, documentId: 'x' }],
      ["a text beside Apollo's hash", { query: unread, ...byHash(unread) }],
      ["Apollo's hash", byHash(unread)],
      ['introspection', { query: '{ __schema { queryType { name } } }' }],
      ['a text that is not a document', { query: '{' }],
    ])('refuse %s', async (_what, operation) => {
      const socket = await openSocket(strict);
      for (const { errors } of [
        await post(operation, { to: strict }),
        await get(operation, { to: strict }),
        await socket.ask(operation),
      ]) {
        expect(errors).toEqual([notRegistered]);
      }
      expect((await post(operation, { to: strict, accept: graphqlJson })).status).toBe(400);
    });

    it('refuse other subscriptions over each transport', async () => {
      const roomId = await kim.group(5);
      const operation = { query: `${watch}\n`, variables: { roomId } };
      const socket = await openSocket(strict);
      expect((await socket.ask(operation)).errors).toEqual([notRegistered]);
      expect((await post(operation, { to: strict, accept: apolloAccept })).errors).toEqual([notRegistered]);
      const sse = await post(operation, { to: strict, accept: 'text/event-stream' });
      expect(sse.text).toContain(notRegistered.message);
    });

    it('turn GraphiQL off', async () => {
      const openPage = (to: Instance, path: string) =>
        fetch(`${to.url}${path}`, { headers: { accept: 'text/html,*/*' }, redirect: 'manual' });
      expect((await openPage(instance, '/graphql')).headers.get('content-type')).toContain('html');
      expect((await openPage(strict, '/graphql/graphiql.js')).status).toBe(404);
      expect((await openPage(strict, '/graphql')).headers.get('content-type')).not.toContain('html');
    });
  });

  describe('a subscription by its id', () => {
    const seqs = (events: readonly { seq: number }[]) => events.map(({ seq }) => seq);

    it.each([
      ['documentId', { documentId: sha256(watch) }],
      ["Apollo's hash", byHash(watch)],
    ])('resumes over WebSocket, SSE and parts, with %s', async (_what, operation) => {
      const roomId = await kim.group(5);
      for (const content of ['2', '3', '4']) await kim.send(roomId, content);
      const socket = await openSocket(strict);
      socket.subscribe('s', { ...operation, variables: { roomId, afterSeq: 2 } });
      const parts = await MultipartStream.open(strict.url, kim.token, {
        ...operation,
        variables: { roomId, afterSeq: 2 },
      });
      onTestFinished(() => parts.stop());
      const sse = readEvents(strict, { ...operation, variables: { roomId, afterSeq: 2 } });
      const events = () => [
        socket.messages.flatMap(({ type, payload }) =>
          type === 'next' ? [(payload as { data: { roomEvents: { seq: number } } }).data.roomEvents] : [],
        ),
        parts.events.map(({ roomEvents }) => roomEvents as { seq: number }),
        sse,
      ];
      await waitFor(() => events().every(({ length }) => length === 3), { what: 'the replay and that it is over' });
      await kim.send(roomId, '5');
      await waitFor(() => events().every(({ length }) => length === 4), { what: 'the new message' });
      expect(events().map(seqs)).toEqual(Array(3).fill([3, 4, 4, 5]));
    });

    it('resumes after its last event, with the recipe, when the connection is cut', async () => {
      const roomId = await kim.group(5);
      const proxy = await startTcpProxy(strict.url);
      const socket = createResumingSocket(new URL('/graphql', proxy.url).href, async () => kim.token, {
        webSocketImpl: WebSocket,
        retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
      });
      const events: { __typename: string; seq: number }[] = [];
      const payload = { query: '', documentId: sha256(watch), variables: { roomId, afterSeq: null } };
      const stop = socket.subscribe(payload, {
        next: ({ data }) => events.push((data as { roomEvents: (typeof events)[number] }).roomEvents),
        error: () => undefined,
        complete: () => undefined,
      });
      onTestFinished(async () => {
        stop();
        await socket.dispose();
        await proxy.stop();
      });
      const added = () => seqs(events.filter(({ __typename }) => __typename === 'MessageAdded'));
      await waitFor(() => events.length === 1, { what: 'the subscription' });
      await kim.send(roomId, '2');
      await waitFor(() => added().length === 1, { what: 'the first message' });
      await proxy.cut();
      await kim.send(roomId, '3');
      await proxy.restore();
      await waitFor(() => added().length === 2, { what: 'the second message' });
      await kim.send(roomId, '4');
      await waitFor(() => added().length === 3, { what: 'the third message' });
      expect(added()).toEqual([2, 3, 4]);
    });

    function readEvents({ url }: Instance, operation: Operation): { seq: number }[] {
      const events: { seq: number }[] = [];
      const abort = new AbortController();
      onTestFinished(() => abort.abort());
      const read = async () => {
        const headers = { 'content-type': 'application/json', ...asKim('text/event-stream') };
        const body = JSON.stringify(operation);
        const response = await fetch(`${url}/graphql`, { method: 'POST', headers, body, signal: abort.signal });
        let rest = '';
        for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
          const blocks = (rest + chunk).split('\n\n');
          rest = blocks.pop() ?? '';
          for (const block of blocks) {
            const data = /^data: ?(.+)$/m.exec(block)?.[1];
            if (data !== undefined && /^event: ?next$/m.test(block)) events.push(JSON.parse(data).data.roomEvents);
          }
        }
      };
      read().catch(() => undefined);
      return events;
    }
  });

  describe('a manifest that cannot be used', () => {
    it.each([
      ['text that is not JSON', '{', /TRUSTED_DOCUMENTS: .*bad\.json: is not JSON/],
      [
        'a document that the schema does not have',
        JSON.stringify({ [sha256('query Old { gone }')]: 'query Old { gone }' }),
        /TRUSTED_DOCUMENTS: .*bad\.json, [0-9a-f]{64}, operation Old: Cannot query field "gone" on type "Query"/,
      ],
      [
        'a hash of another text',
        JSON.stringify({ [sha256(viewer)]: unread }),
        /TRUSTED_DOCUMENTS: .*bad\.json, [0-9a-f]{64}: the id [0-9a-f]{64} does not fit the text/,
      ],
    ])('stops the start with a sentence: %s', async (_what, content, sentence) => {
      const path = join(folder, 'bad.json');
      writeFileSync(path, content);
      const { child, output } = spawnInstance({
        databaseUrl: world.database.url,
        nats: world.nats,
        env: { TRUSTED_DOCUMENTS: path },
      });
      const [code] = await once(child, 'close');
      expect(code).toBe(1);
      expect(output()).toMatch(sentence);
      expect(output()).not.toMatch(/^ +at /m);
    });
  });
});
