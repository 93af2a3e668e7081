import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ApolloClient, type DocumentNode, gql } from '@apollo/client';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { createApolloClient } from '../../clients/apollo-client.js';
import { codeOf, pageSize, sendMessage, watchRoom } from '../../clients/apollo-room.js';
import { createResumingSocket } from '../../clients/resume.js';
import { signToken } from '../../src/auth/sign-token.js';
import { names, type TestClient } from '../support/client.js';
import { testSecret } from '../support/instance.js';
import { deleteMessage, editMessage, markRead, setTyping } from '../support/operations.js';
import { useRandom } from '../support/random.js';
import { describeWithNats } from '../support/requirements.js';
import { startTcpProxy } from '../support/tcp-proxy.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const read = (name: string): DocumentNode =>
  gql(readFileSync(join(import.meta.dirname, `../../clients/operations/${name}.graphql`), 'utf8'));
const documents = {
  RoomPage: read('RoomPage'),
  RoomEvents: read('RoomEvents'),
  SendMessage: read('SendMessage'),
};

interface Page {
  readonly room: {
    readonly messages: { readonly edges: readonly { readonly node: Shown }[]; readonly pageInfo: object };
  } | null;
}
interface Shown {
  readonly id: string;
  readonly seq: number;
  readonly content: string | null;
}

describeWithNats('the store of Apollo Client, as in the recipe', () => {
  const world = useWorld({ instances: 2 });
  let kim: TestClient;
  let lee: TestClient;

  beforeAll(async () => {
    [kim, lee] = [await world.client(4), await world.client(5, 1)];
  });

  async function open() {
    const proxy = await startTcpProxy(world.instances[0]?.url ?? '');
    const url = new URL('/graphql', proxy.url).href;
    const freshToken = async () => kim.token;
    const socket = createResumingSocket(url, freshToken, {
      webSocketImpl: WebSocket,
      retryWait: () => new Promise((resolve) => setTimeout(resolve, 20)),
    });
    const client = createApolloClient(url, socket, freshToken);
    onTestFinished(async () => {
      client.stop();
      await socket.dispose();
      await proxy.stop();
    });
    return { client, proxy, socket };
  }

  function watch(client: ApolloClient, roomId: string): { ended: string[] } {
    const ended: string[] = [];
    onTestFinished(watchRoom(client, documents, roomId, (code) => ended.push(code)));
    return { ended };
  }

  const variablesOf = (roomId: string) => ({ roomId, last: pageSize });
  /** What a view shows, with what is sent but not answered. */
  const shown = (client: ApolloClient, roomId: string): readonly Shown[] => {
    const page = client.readQuery<Page>({ query: documents.RoomPage, variables: variablesOf(roomId) }, true);
    return page?.room?.messages.edges.map(({ node }) => node) ?? [];
  };
  const texts = (client: ApolloClient, roomId: string) => shown(client, roomId).map(({ content }) => content);
  const fresh = async (roomId: string) => {
    const { client } = await open();
    const { data } = await client.query<Page>({
      query: documents.RoomPage,
      variables: variablesOf(roomId),
      fetchPolicy: 'no-cache',
    });
    return data?.room;
  };

  it('has one history of all pages, into which events go', async () => {
    const roomId = await kim.group(5);
    for (let number = 1; number <= 70; number += 1) await lee.send(roomId, `${number}`);
    const { client } = await open();
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 50, { what: 'the newest page' });
    const query = client.watchQuery<Page>({ query: documents.RoomPage, variables: variablesOf(roomId) });
    const seen: number[] = [];
    const subscription = query.subscribe(({ data }) =>
      seen.push((data as Page | undefined)?.room?.messages.edges.length ?? 0),
    );
    onTestFinished(() => subscription.unsubscribe());
    const before = (query.getCurrentResult().data as Page).room?.messages.pageInfo as { startCursor: string };
    await query.fetchMore({ variables: { before: before.startCursor } });
    await lee.send(roomId, 'live');
    await waitFor(() => shown(client, roomId).length === 72, { what: 'everything' });
    expect(shown(client, roomId).map(({ seq }) => seq)).toEqual(Array.from({ length: 72 }, (_, index) => index + 1));
    await waitFor(() => seen.at(-1) === 72, { what: 'the view to be told' });
    expect(shown(client, roomId).at(-1)?.content).toBe('live');
  });

  it('shows an own message at once and once, whatever comes first, and takes back what is refused', async () => {
    const roomId = await kim.group(5);
    const { client } = await open();
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    const counts: number[] = [];
    const query = client.watchQuery<Page>({ query: documents.RoomPage, variables: variablesOf(roomId) });
    const subscription = query.subscribe(({ data }) => {
      counts.push((data as Page).room?.messages.edges.filter(({ node }) => node.content === '여기요').length ?? 0);
    });
    onTestFinished(() => subscription.unsubscribe());
    const message = { id: randomUUID(), roomId, content: '여기요', sender: { id: '4', name: names[4] ?? '' } };
    const sending = sendMessage(client, documents, message);
    expect(texts(client, roomId)).toContain('여기요');
    await sending;
    // A retry of the same message.
    await sendMessage(client, documents, message);
    await lee.send(roomId, '네');
    await waitFor(() => texts(client, roomId).at(-1) === '네', { what: 'the answer' });
    expect(Math.max(...counts)).toBe(1);
    const [, own] = shown(client, roomId);
    expect(own).toMatchObject({ id: message.id, seq: 2, content: '여기요' });

    const refused = await sendMessage(client, documents, { ...message, content: '다른 글' }).catch(codeOf);
    expect(refused).toBe('CONFLICT');
    await waitFor(() => texts(client, roomId).includes('여기요') && !texts(client, roomId).includes('다른 글'), {
      what: 'it to be taken back',
    });
  });

  it('equals a fresh query after cuts at 50 random moments, and does not grow beyond its messages', async () => {
    const random = useRandom();
    const roomId = await kim.group(5);
    const { client, proxy } = await open();
    const { ended } = watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    const sent: string[] = [];
    const act = async () => {
      const old = random.pick([undefined, ...sent]);
      const kind = random.between(1, 10);
      if (old === undefined || kind <= 6) sent.push((await lee.send(roomId, `글 ${sent.length}`)).message.id);
      else if (kind <= 8) await lee.http(editMessage, { input: { messageId: old, content: `고침 ${sent.length}` } });
      else if (kind === 9) await lee.http(markRead, { input: { roomId, messageId: old } });
      else {
        await lee.http(deleteMessage, { input: { messageId: old } });
        sent.splice(sent.indexOf(old), 1);
      }
    };
    for (let cut = 0; cut < 50; cut += 1) {
      for (let count = random.between(0, 3); count > 0; count -= 1) await act();
      await proxy.cut();
      for (let count = random.between(0, 2); count > 0; count -= 1) await act();
      await proxy.restore();
    }
    await lee.send(roomId, '끝');
    await waitFor(() => texts(client, roomId).at(-1) === '끝', { what: 'the last message' });
    const expected = (await fresh(roomId))?.messages.edges.map(({ node }) => node);
    expect(shown(client, roomId).slice(-(expected?.length ?? 0))).toEqual(expected);
    const seqs = shown(client, roomId).map(({ seq }) => seq);
    expect(new Set(seqs).size).toBe(seqs.length);
    expect(ended).toEqual([]);
    const types = Object.keys(client.cache.extract() as object).map((key) => key.split(':')[0]);
    expect(types.filter((type) => type === 'Message').length).toBe(seqs.length);
    expect(types.length).toBeLessThan(seqs.length + 15);
  });

  it('has who types and who is there where the room and its people are', async () => {
    const roomId = await kim.group(5);
    const { client } = await open();
    watch(client, roomId);
    const subscriptions = [
      client.subscribe({ query: read('Typing'), variables: { roomId } }).subscribe({}),
      client.subscribe({ query: read('Presence'), variables: { userIds: ['5'] } }).subscribe({}),
    ];
    onTestFinished(() => {
      for (const subscription of subscriptions) subscription.unsubscribe();
    });
    const room = gql('fragment Typers on Room { id typing { id name } }');
    const user = gql('fragment There on Presence { status user { id } }');
    const typing = () =>
      client
        .readFragment<{ typing: { id: string }[] }>({ fragment: room, id: `Room:${roomId}` })
        ?.typing.map(({ id }) => id);
    const status = () =>
      client.readFragment<{ status: string }>({ fragment: user, id: 'Presence:{"user":{"id":"5"}}' })?.status;
    await waitFor(() => typing()?.length === 0, { what: 'nobody to type' });
    await lee.ws(setTyping, { input: { roomId, isTyping: true } });
    await waitFor(() => typing()?.[0] === '5' && status() === 'ONLINE', { what: 'both' });
    await lee.ws(setTyping, { input: { roomId, isTyping: false } });
    await waitFor(() => typing()?.length === 0, { what: 'the end' });
  });

  it('has no hole when a room is opened again after more than a page', async () => {
    const roomId = await kim.group(5);
    const { client } = await open();
    const stop = watchRoom(client, documents, roomId, () => undefined);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    stop();
    for (let number = 1; number <= 60; number += 1) await lee.send(roomId, `${number}`);
    watch(client, roomId);
    await waitFor(() => texts(client, roomId).at(-1) === '60', { what: 'the newest page' });
    expect(shown(client, roomId).map(({ seq }) => seq)).toEqual(Array.from({ length: 50 }, (_, index) => index + 12));
  });

  it('ends, and does not ask for ever, when the server refuses its question', async () => {
    const { client } = await open();
    const { ended } = watch(client, 'no id of a room');
    await waitFor(() => ended.length > 0, { what: 'the refusal' });
    expect(ended).toEqual(['BAD_USER_INPUT']);
  });

  it('goes on with another token when one is refused, over HTTP and the socket', async () => {
    const roomId = await kim.group(5);
    const proxy = await startTcpProxy(world.instances[0]?.url ?? '');
    const url = new URL('/graphql', proxy.url).href;
    const expired = await signToken(testSecret, { userId: 4 }, { expiresIn: '-2m' });
    const refused: (string | undefined)[] = [];
    let token = expired;
    const freshToken = async (bad?: string) => {
      refused.push(bad);
      if (bad === token) token = kim.token;
      return token;
    };
    const socket = createResumingSocket(url, freshToken, { webSocketImpl: WebSocket });
    const client = createApolloClient(url, socket, freshToken);
    onTestFinished(async () => {
      client.stop();
      await socket.dispose();
      await proxy.stop();
    });
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room over HTTP' });
    // The socket is asked with the refused one as well.
    token = expired;
    await proxy.cut();
    await proxy.restore();
    await lee.send(roomId, '안녕하세요');
    await waitFor(() => texts(client, roomId).at(-1) === '안녕하세요', { what: 'the event' });
    expect(refused.filter((bad) => bad === expired)).toHaveLength(2);
  });

  it('says why a room ends', async () => {
    const { client } = await open();
    const { ended } = watch(client, await lee.group(6));
    await waitFor(() => ended.length > 0, { what: 'the refusal' });
    expect(ended).toEqual(['NOT_FOUND']);
  });
});
