import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import type { Client } from 'graphql-ws';
import relay, { type ConcreteRequest } from 'relay-runtime';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { createApolloClient } from '../../clients/apollo-client.js';
import { createAuthorizedFetch } from '../../clients/authorized-fetch.js';
import { createRelayEnvironment } from '../../clients/relay/environment.js';
import { createResumingSocket } from '../../clients/resume.js';
import { createUrqlClient } from '../../clients/urql.js';
import type { TestClient } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import { describeWithNats } from '../support/requirements.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

interface Event {
  readonly __typename: string;
  readonly seq: number;
}

interface Variables {
  readonly roomId: string;
  readonly afterSeq: number | null;
}

type Listen = (access: Access, variables: Variables, tell: (event: Event) => void) => () => void;

/** The connection details of a client. */
interface Access {
  readonly url: string;
  readonly socket: Client;
  readonly freshToken: () => Promise<string>;
}

const text = `subscription Watch($roomId: ID!, $afterSeq: Int, $epoch: ID) {
  roomEvents(roomId: $roomId, afterSeq: $afterSeq, epoch: $epoch) { __typename seq epoch }
}`;

const listens: Record<string, Listen> = {
  'Apollo Client': ({ url, socket, freshToken }, variables, tell) => {
    const client = createApolloClient(url, socket, freshToken);
    const subscription = client
      .subscribe<{ roomEvents: Event }>({ query: gql(text), variables, fetchPolicy: 'no-cache' })
      .subscribe(({ data }) => data && tell(data.roomEvents));
    return () => subscription.unsubscribe();
  },
  urql: ({ url, socket, freshToken }, variables, tell) => {
    const { unsubscribe } = createUrqlClient(url, socket, freshToken)
      .subscription<{ roomEvents: Event }>(text, variables)
      .subscribe(({ data }) => data && tell(data.roomEvents));
    return unsubscribe;
  },
  Relay: ({ url, socket, freshToken }, variables, tell) => {
    const environment = createRelayEnvironment(url, socket, freshToken);
    const { dispose } = relay.requestSubscription(environment, {
      subscription: watchRequest,
      variables,
      onNext: (response) => tell((response as { roomEvents: Event }).roomEvents),
    });
    return dispose;
  },
};

describeWithNats('a stock client', () => {
  const world = useWorld({ instances: 0 });
  let kim: TestClient;
  let first: Instance;

  beforeAll(async () => {
    first = await world.start();
    kim = await world.client(4);
  });

  describe.each(Object.entries(listens))('%s, as in the recipe', (_name, listen) => {
    it.each([
      ['the position of the room', 1],
      ['no position', null],
    ])(
      'resumes after its last event when the connection is cut and when the server restarts, from %s',
      async (_what, afterSeq) => {
        const roomId = await kim.group(5);
        const doomed = await world.start();
        const proxy = await startTcpProxy(doomed.url);
        const events: Event[] = [];
        const socket = createResumingSocket(new URL('/graphql', proxy.url).href, async () => kim.token, {
          webSocketImpl: WebSocket,
          retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
        });
        let refused = 0;
        socket.on('error', () => {
          refused += 1;
        });
        const access = { url: `${first.url}/graphql`, socket, freshToken: async () => kim.token };
        const stop = listen(access, { roomId, afterSeq }, (event) => events.push(event));
        onTestFinished(async () => {
          stop();
          await socket.dispose();
          await proxy.stop();
        });
        const added = () => events.filter(({ __typename }) => __typename === 'MessageAdded').map(({ seq }) => seq);
        const ready = () => events.filter(({ __typename }) => __typename === 'RoomReady').length;

        await waitFor(() => ready() === 1, { what: 'the subscription' });
        await kim.send(roomId, '1');
        await waitFor(() => added().length === 1, { what: 'the first message' });
        await whileCut(proxy, async () => {
          await kim.send(roomId, '2');
          await waitFor(() => refused > 0, { what: 'an attempt in vain' });
        });
        await waitFor(() => ready() === 2, { what: 'the line to be back' });
        await kim.send(roomId, '3');
        await waitFor(() => added().length >= 3, { what: 'the third message' });

        // Another instance takes over; the stopping one closes its sockets with 1012.
        proxy.redirect(first.url);
        await doomed.stop();
        await kim.send(roomId, '4');
        await waitFor(() => added().length >= 4 && ready() === 3, { what: 'the last message' });

        expect(added()).toEqual([2, 3, 4, 5]);
      },
    );
  });

  it('notices a link that dies without a word, and resumes over another', async () => {
    const roomId = await kim.group(5);
    const proxy = await startTcpProxy(first.url);
    const socket = createResumingSocket(new URL('/graphql', proxy.url).href, async () => kim.token, {
      webSocketImpl: WebSocket,
      keepAlive: 50,
      retryWait: () => new Promise((resolve) => setTimeout(resolve, 20)),
    });
    const codes: unknown[] = [];
    socket.on('closed', (event) => codes.push((event as { readonly code?: number }).code));
    const events: Event[] = [];
    const access = { url: `${first.url}/graphql`, socket, freshToken: async () => kim.token };
    const stop = listens['urql']?.(access, { roomId, afterSeq: null }, (event) => events.push(event));
    onTestFinished(async () => {
      stop?.();
      await socket.dispose();
      await proxy.stop();
    });
    await waitFor(() => events.length === 1, { what: 'the subscription' });
    await proxy.cut({ silently: true });
    await kim.send(roomId, '1');
    await waitFor(() => codes.includes(4499), { what: 'the end of the link' });
    await proxy.restore();
    await waitFor(() => events.some(({ __typename }) => __typename === 'MessageAdded'), { what: 'the message' });
  });

  it('goes on when no token could be had, however slowly the socket closes', async () => {
    const roomId = await kim.group(5);
    const proxy = await startTcpProxy(first.url);
    let failures = 2;
    const freshToken = async () => {
      failures -= 1;
      if (failures >= 0) throw new Error('The login server is away');
      return kim.token;
    };
    const socket = createResumingSocket(new URL('/graphql', proxy.url).href, freshToken, {
      webSocketImpl: SlowToClose,
      retryWait: () => new Promise((resolve) => setTimeout(resolve, 20)),
    });
    const results: unknown[] = [];
    const end = (error?: unknown) => results.push(error ?? 'the end');
    const stop = socket.subscribe(
      { query: text, variables: { roomId } },
      { next: ({ data }) => results.push(data?.['roomEvents']), error: end, complete: end },
    );
    onTestFinished(async () => {
      stop();
      await socket.dispose();
      await proxy.stop();
    });
    await waitFor(() => results.length > 0, { what: 'the subscription' });
    // Again while it is subscribed, and past the late close events.
    failures = 2;
    await proxy.cut();
    await kim.send(roomId, '1');
    await proxy.restore();
    await waitFor(() => results.length > 2, { what: 'what came meanwhile' });
    await new Promise((resolve) => setTimeout(resolve, 2 * closeMs));
    await kim.send(roomId, '2');
    await waitFor(() => results.length > 3, { what: 'the next message' });
    expect(results).toMatchObject([
      { __typename: 'RoomReady', seq: 1 },
      { __typename: 'MessageAdded', seq: 2 },
      { __typename: 'RoomReady', seq: 2 },
      { __typename: 'MessageAdded', seq: 3 },
    ]);
  });

  it('can be disposed of while there is no connection', async () => {
    const proxy = await startTcpProxy(first.url);
    const socket = createResumingSocket(new URL('/graphql', proxy.url).href, async () => kim.token, {
      webSocketImpl: WebSocket,
      retryWait: () => new Promise((resolve) => setTimeout(resolve, 20)),
    });
    const stop = socket.subscribe({ query: text, variables: { roomId: await kim.group(5) } }, silent);
    let closed = 0;
    socket.on('closed', () => {
      closed += 1;
    });
    await proxy.cut();
    await waitFor(() => closed > 0, { what: 'the cut' });
    stop();
    await socket.dispose();
    await proxy.stop();
  });

  async function whileCut(proxy: TcpProxy, act: () => Promise<unknown>): Promise<void> {
    await proxy.cut();
    await act();
    await proxy.restore();
  }

  describe('Apollo Client over HTTP alone', () => {
    const createClient = (usePersisted = false) => {
      const http = new HttpLink({
        uri: `${first.url}/graphql`,
        fetch: createAuthorizedFetch(async () => kim.token),
      });
      const hash = { generateHash: () => 'a'.repeat(64) };
      const link = usePersisted ? new PersistedQueryLink(hash).concat(http) : http;
      return new ApolloClient({ link, cache: new InMemoryCache() });
    };

    it('receives the events of a room in parts', async () => {
      const lee = await world.client(5);
      const roomId = await kim.group(5);
      const events: Event[] = [];
      const subscription = createClient()
        .subscribe<{ roomEvents: Event }>({ query: gql(text), variables: { roomId, afterSeq: 0 } })
        .subscribe(({ data }) => data && events.push(data.roomEvents));
      onTestFinished(() => subscription.unsubscribe());
      await waitFor(() => events.length === 2, { what: 'the replay' });
      await lee.send(roomId, 'live');
      await waitFor(() => events.length === 3, { what: 'the message' });
      expect(events.map(({ seq }) => seq)).toEqual([1, 1, 2]);
    });

    it('sends the text of a query if the server does not accept its hash alone', async () => {
      const { data } = await createClient(true).query<{ viewer: { id: string } }>({ query: gql('{ viewer { id } }') });
      expect(data?.viewer.id).toBe('4');
    });

    it('sees the code of a refusal', async () => {
      const error = await createClient()
        .query({ query: gql(`{ room(id: "${await kim.group(5)}") { messages(first: 1000) { edges { cursor } } } }`) })
        .catch((refusal: unknown) => refusal);
      expect(error).toMatchObject({ errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
    });
  });
});

const silent = { next: () => undefined, error: () => undefined, complete: () => undefined };

const closeMs = 100;

/** A socket whose close takes its time, as over a slow network. */
class SlowToClose extends WebSocket {
  override emit(event: string, ...values: unknown[]): boolean {
    if (event !== 'close') return super.emit(event, ...values);
    setTimeout(() => super.emit(event, ...values), closeMs);
    return true;
  }
}

/** The output of Relay's compiler for the subscription. */
const selections = [
  {
    alias: null,
    args: [
      { kind: 'Variable', name: 'afterSeq', variableName: 'afterSeq' },
      { kind: 'Variable', name: 'roomId', variableName: 'roomId' },
    ],
    concreteType: null,
    kind: 'LinkedField',
    name: 'roomEvents',
    plural: false,
    selections: ['__typename', 'seq'].map((name) => ({
      alias: null,
      args: null,
      kind: 'ScalarField',
      name,
      storageKey: null,
    })),
    storageKey: null,
  },
];
const argumentDefinitions = ['afterSeq', 'roomId'].map((name) => ({ defaultValue: null, kind: 'LocalArgument', name }));
const watchRequest = {
  kind: 'Request',
  fragment: {
    argumentDefinitions,
    kind: 'Fragment',
    metadata: null,
    name: 'Watch',
    selections,
    type: 'Subscription',
    abstractKey: null,
  },
  operation: { argumentDefinitions, kind: 'Operation', name: 'Watch', selections },
  params: { cacheID: 'watch', id: null, metadata: {}, name: 'Watch', operationKind: 'subscription', text },
} as unknown as ConcreteRequest;
