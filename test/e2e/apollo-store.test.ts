import { randomUUID } from 'node:crypto';
import { type ApolloClient, type DocumentNode, gql } from '@apollo/client';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { createApolloClient } from '../../clients/apollo-client.js';
import { codeOf, isPending, pageSize, sendMessage, watchRoom } from '../../clients/apollo-room.js';
import { watchRooms } from '../../clients/apollo-rooms.js';
import { SignedOut } from '../../clients/authorized-fetch.js';
import { names, type TestClient } from '../support/client.js';
import { type Fault, lost, refused, startAnswerProxy } from '../support/http-proxy.js';
import { deleteMessage, editMessage, markRead, removeMember, setTyping } from '../support/operations.js';
import { useRandom } from '../support/random.js';
import { describeWithNats } from '../support/requirements.js';
import { createTokens, loseNewest, openLine, readOperation, type Shown } from '../support/store-line.js';
import { cutAtRandom, writeAtRandom } from '../support/store-scenario.js';
import { forgeToken, nowSeconds } from '../support/tokens.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const read = (name: string): DocumentNode => gql(readOperation(name));
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

describeWithNats('the store of Apollo Client, as in the recipe', () => {
  const world = useWorld({ instances: 2 });
  let kim: TestClient;
  let lee: TestClient;

  beforeAll(async () => {
    [kim, lee] = [await world.client(4), await world.client(5, 1)];
  });

  async function open({ freshToken = async () => kim.token, url = undefined as string | undefined } = {}) {
    const line = await openLine(world.instances[0]?.url ?? '', freshToken);
    const client = createApolloClient(url ?? line.url, line.socket, freshToken);
    onTestFinished(() => client.stop());
    return { ...line, client };
  }

  function watch(client: ApolloClient, roomId: string, onReady?: () => void): { ended: string[] } {
    const ended: string[] = [];
    onTestFinished(watchRoom(client, documents, roomId, (code) => ended.push(code), onReady));
    return { ended };
  }

  const variablesOf = (roomId: string) => ({ roomId, last: pageSize });
  /** What a view shows, with what is sent but not answered. */
  const shown = (client: ApolloClient, roomId: string): readonly Shown[] => {
    const page = client.readQuery<Page>({ query: documents.RoomPage, variables: variablesOf(roomId) }, true);
    return page?.room?.messages.edges.map(({ node }) => node) ?? [];
  };
  const texts = (client: ApolloClient, roomId: string) => shown(client, roomId).map(({ content }) => content);
  const draft = (roomId: string) => {
    return { id: randomUUID(), roomId, content: '여기요', sender: { id: '4', name: names[4] ?? '' } };
  };
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
    const message = draft(roomId);
    const sending = sendMessage(client, documents, message);
    expect(texts(client, roomId)).toContain('여기요');
    expect(shown(client, roomId).map(isPending)).toEqual([false, true]);
    await sending;
    expect(shown(client, roomId).some(isPending)).toBe(false);
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
    const roomId = await kim.group(5);
    const { client, proxy } = await open();
    const { ended } = watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    const random = useRandom();
    const catchUp = async () => {
      const newest = (await fresh(roomId))?.messages.edges.at(-1)?.node.id;
      await waitFor(() => shown(client, roomId).at(-1)?.id === newest, { what: 'the newest message' });
    };
    await cutAtRandom(random, proxy, { cuts: 50, act: writeAtRandom(random, lee, roomId), catchUp });
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
    const status = () => client.readFragment<{ status: string }>({ fragment: user, id: 'Presence:5' })?.status;
    await waitFor(() => typing()?.length === 0, { what: 'nobody to type' });
    await lee.ws(setTyping, { input: { roomId, isTyping: true } });
    await waitFor(() => typing()?.[0] === '5' && status() === 'ONLINE', { what: 'both' });
    await lee.ws(setTyping, { input: { roomId, isTyping: false } });
    await waitFor(() => typing()?.length === 0, { what: 'the end' });
  });

  it('keeps what is newer when an answer comes late: deletions, edits, new messages and read marks', async () => {
    const roomId = await kim.group(5);
    const proxy = await startAnswerProxy(world.instances[0]?.url ?? '');
    const { client } = await open({ url: proxy.url });
    const own = [];
    for (const text of ['지울 글', '고칠 글']) own.push((await lee.send(roomId, text)).message.id);
    const [deleted = '', edited = ''] = own;
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 3, { what: 'the room' });
    const members = {
      query: read('RoomMembers'),
      variables: { roomId, first: 10 },
      fetchPolicy: 'network-only',
    } as const;
    await client.query(members);
    const query = client.watchQuery<Page>({ query: documents.RoomPage, variables: variablesOf(roomId) });
    const subscription = query.subscribe(() => undefined);
    onTestFinished(() => subscription.unsubscribe());
    const markOf = () =>
      Object.values(client.cache.extract() as Record<string, { user?: { __ref: string }; lastReadSeq?: number }>).find(
        ({ user }) => user?.__ref === 'User:5',
      )?.lastReadSeq;
    const held = [proxy.hold('RoomPage'), proxy.hold('RoomMembers')];
    const late = [query.refetch(), client.query(members)];
    await Promise.all(held.map(({ answered }) => answered));

    await lee.http(deleteMessage, { input: { messageId: deleted } });
    await lee.http(editMessage, { input: { messageId: edited, content: '고친 글' } });
    const { message } = await lee.send(roomId, '새 글');
    await lee.http(markRead, { input: { roomId, messageId: message.id } });
    await waitFor(() => texts(client, roomId).at(-1) === '새 글' && markOf() === message.seq, { what: 'the events' });
    for (const { release } of held) release();
    await Promise.all(late);
    expect(texts(client, roomId).slice(1)).toEqual([null, '고친 글', '새 글']);
    expect(markOf()).toBe(message.seq);
  });

  it('does not undo a deletion by the late answer to an edit', async () => {
    const roomId = await kim.group(5);
    const proxy = await startAnswerProxy(world.instances[0]?.url ?? '');
    const { client } = await open({ url: proxy.url });
    const { id: messageId } = (await kim.send(roomId, '글')).message;
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 2, { what: 'the room' });
    const held = proxy.hold('EditMessage');
    const editing = client.mutate({
      mutation: read('EditMessage'),
      variables: { input: { messageId, content: '고침' } },
    });
    await held.answered;
    await kim.http(deleteMessage, { input: { messageId } });
    await waitFor(() => texts(client, roomId).at(-1) === null, { what: 'the deletion' });
    held.release();
    await editing;
    expect(texts(client, roomId).at(-1)).toBeNull();
  });

  it('takes the text of a deleted message away with the answer', async () => {
    const roomId = await kim.group(5);
    const { client } = await open();
    const { id: messageId } = (await kim.send(roomId, '글')).message;
    // Without a subscription, so that no event comes.
    await client.query({ query: documents.RoomPage, variables: variablesOf(roomId) });
    await client.mutate({ mutation: read('DeleteMessage'), variables: { input: { messageId } } });
    expect(texts(client, roomId).at(-1)).toBeNull();
  });

  it('says when it is current, again after each break', async () => {
    const roomId = await kim.group(5);
    const { client, proxy } = await open();
    let ready = 0;
    watch(client, roomId, () => {
      ready += 1;
    });
    await waitFor(() => ready === 1, { what: 'the room' });
    await proxy.cut();
    await proxy.restore();
    await waitFor(() => ready === 2, { what: 'it again' });
  });

  it('keeps the list of rooms: new ones, the newest first, what came during a break, and no left ones', async () => {
    const rooms = [await kim.group(5), await kim.group(5)];
    const { client, proxy } = await open();
    const lists = { RoomList: read('RoomList'), InboxEvents: read('InboxEvents') };
    const ended: string[] = [];
    onTestFinished(watchRooms(client, lists, (code) => ended.push(code)));
    interface List {
      readonly rooms: {
        readonly edges: readonly { readonly node: { readonly id: string } }[];
        readonly pageInfo: { readonly endCursor: string; readonly hasNextPage: boolean };
      };
    }
    const query = client.watchQuery<List>({
      query: lists.RoomList,
      variables: { first: 50 },
      fetchPolicy: 'cache-only',
    });
    const subscription = query.subscribe(() => undefined);
    onTestFinished(() => subscription.unsubscribe());
    const ids = () =>
      (query.getCurrentResult().data as Partial<List> | undefined)?.rooms?.edges.map(({ node }) => node.id) ?? [];
    await waitFor(() => ids()[0] === rooms[1] && ids()[1] === rooms[0], { what: 'the list' });
    await lee.send(rooms[0] ?? '', '네');
    await waitFor(() => ids()[0] === rooms[0], { what: 'the newest first' });
    const added = await lee.group(4);
    await waitFor(() => ids()[0] === added, { what: 'the new room' });
    await lee.http(removeMember, { input: { roomId: added, userId: '4' } });
    await waitFor(() => !ids().includes(added), { what: 'it to be gone' });
    await proxy.cut();
    await lee.send(rooms[1] ?? '', '네');
    const meanwhile = await lee.group(4);
    await proxy.restore();
    await waitFor(() => ids()[0] === meanwhile && ids()[1] === rooms[1], { what: 'what came during the break' });
    expect(new Set(ids()).size).toBe(ids().length);
    expect(ended).toEqual([]);
  });

  it('shows more rooms with fetchMore', async () => {
    for (let count = 0; count < 3; count += 1) await kim.group(5);
    const { client } = await open();
    interface List {
      readonly rooms: { readonly edges: readonly unknown[]; readonly pageInfo: { readonly endCursor: string } };
    }
    const query = client.watchQuery<List>({ query: read('RoomList'), variables: { first: 2 } });
    const subscription = query.subscribe(() => undefined);
    onTestFinished(() => subscription.unsubscribe());
    const list = () => (query.getCurrentResult().data as Partial<List> | undefined)?.rooms;
    await waitFor(() => list()?.edges.length === 2, { what: 'the first page' });
    await query.fetchMore({ variables: { after: list()?.pageInfo.endCursor } });
    await waitFor(() => (list()?.edges.length ?? 0) > 2, { what: 'the next page' });
  });

  it('has no hole when a room is opened again after more than a page, even if the viewer has sent meanwhile', async () => {
    const roomId = await kim.group(5);
    const { client } = await open();
    const stop = watchRoom(client, documents, roomId, () => undefined);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    stop();
    for (let number = 1; number <= 60; number += 1) await lee.send(roomId, `${number}`);
    await sendMessage(client, documents, draft(roomId));
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length >= 50, { what: 'the newest page' });
    expect(shown(client, roomId).map(({ seq }) => seq)).toEqual(Array.from({ length: 50 }, (_, index) => index + 13));
  });

  it('leaves out an older page of a list that another one has replaced', async () => {
    const roomId = await kim.group(5);
    for (let number = 2; number <= 60; number += 1) await lee.send(roomId, `${number}`);
    const { client } = await open();
    const stop = watchRoom(client, documents, roomId, () => undefined);
    await waitFor(() => shown(client, roomId).length === 50, { what: 'the newest page' });
    stop();
    const query = client.watchQuery<Page>({ query: documents.RoomPage, variables: variablesOf(roomId) });
    const subscription = query.subscribe(() => undefined);
    onTestFinished(() => subscription.unsubscribe());
    const page = query.getCurrentResult().data as Page;
    const { startCursor } = (page.room?.messages.pageInfo ?? {}) as { startCursor?: string };
    for (let number = 61; number <= 120; number += 1) await lee.send(roomId, `${number}`);
    watch(client, roomId);
    await waitFor(() => shown(client, roomId)[0]?.seq === 71, { what: 'the newest page' });
    await query.fetchMore({ variables: { before: startCursor } });
    expect(shown(client, roomId).map(({ seq }) => seq)).toEqual(Array.from({ length: 50 }, (_, index) => index + 71));
  });

  it('reads the room again after RoomResync, without what is not in the log any more', async () => {
    const roomId = await kim.group(5);
    for (const text of ['1', '2', '잃어버린 글']) await lee.send(roomId, text);
    const { client, proxy } = await open();
    const { ended } = watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 4, { what: 'the room' });
    await proxy.cut();
    await loseNewest(world, roomId);
    await proxy.restore();
    await waitFor(() => shown(client, roomId).length === 3, { what: 'the room without it' });
    await lee.send(roomId, '새 글');
    await waitFor(() => texts(client, roomId).at(-1) === '새 글', { what: 'an event after it' });
    expect(texts(client, roomId).slice(1)).toEqual(['1', '2', '새 글']);
    expect(ended).toEqual([]);
  });

  it('ends, and does not ask for ever, when the server refuses its question', async () => {
    const { client } = await open();
    const { ended } = watch(client, 'no id of a room');
    await waitFor(() => ended.length > 0, { what: 'the refusal' });
    expect(ended).toEqual(['BAD_USER_INPUT']);
  });

  it('repeats a message with the same id if its answer is lost or the server is busy, and shows it meanwhile', async () => {
    const roomId = await kim.group(5);
    let isBusy = true;
    const held: Fault = async (pass) => {
      await waitFor(() => !isBusy, { what: 'the event of another' });
      return pass();
    };
    const faults = [lost, refused('UNAVAILABLE', 20), refused('RATE_LIMITED', 20), held];
    const proxy = await startAnswerProxy(world.instances[0]?.url ?? '', ...faults);
    const { client } = await open({ url: proxy.url });
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    const message = draft(roomId);
    const sending = sendMessage(client, documents, message);
    const counts: number[] = [];
    const query = client.watchQuery<Page>({ query: documents.RoomPage, variables: variablesOf(roomId) });
    const subscription = query.subscribe(({ data }) => {
      counts.push((data as Page).room?.messages.edges.filter(({ node }) => node.content === '여기요').length ?? 0);
    });
    onTestFinished(() => subscription.unsubscribe());
    // The events of others are shown meanwhile.
    await lee.send(roomId, '네');
    await waitFor(() => texts(client, roomId).includes('네'), { what: 'the event' });
    isBusy = false;
    await sending;
    expect(proxy.sent).toEqual(Array.from({ length: 4 }, () => message.id));
    await waitFor(() => shown(client, roomId).at(-1)?.seq === 3, { what: 'its place' });
    expect(new Set(counts)).toEqual(new Set([1]));
    expect(shown(client, roomId)).toEqual((await fresh(roomId))?.messages.edges.map(({ node }) => node));
  });

  it('sends in the order of the calls, however long each takes', async () => {
    const roomId = await kim.group(5);
    const slow: Fault = async (pass) => {
      await new Promise((resolve) => setTimeout(resolve, 60));
      return pass();
    };
    const quick: Fault = (pass) => pass();
    const proxy = await startAnswerProxy(world.instances[0]?.url ?? '', slow, refused('UNAVAILABLE', 50), quick, slow);
    const { client } = await open({ url: proxy.url });
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    const numbers = Array.from({ length: 12 }, (_, index) => `${index + 1}`);
    const sending = numbers.map((content) => sendMessage(client, documents, { ...draft(roomId), content }));
    expect(shown(client, roomId).map(isPending)).toEqual([false, ...numbers.map(() => true)]);
    await Promise.all(sending);
    await waitFor(() => shown(client, roomId).at(-1)?.seq === 13, { what: 'the last' });
    expect(texts(client, roomId).slice(1)).toEqual(numbers);
    expect(shown(client, roomId).some(isPending)).toBe(false);
  });

  it('stops repeating in the end, and says why', async () => {
    const roomId = await kim.group(5);
    const busy = Array.from({ length: 11 }, () => refused('UNAVAILABLE', 10));
    const proxy = await startAnswerProxy(world.instances[0]?.url ?? '', ...busy);
    const { client } = await open({ url: proxy.url });
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    expect(await sendMessage(client, documents, draft(roomId)).catch(codeOf)).toBe('UNAVAILABLE');
    expect(proxy.sent).toHaveLength(11);
    expect(shown(client, roomId)).toHaveLength(1);
  });

  it('goes on with another token when one is refused, over HTTP and the socket', async () => {
    const roomId = await kim.group(5);
    const expired = await forgeToken({ exp: nowSeconds() - 120 });
    const tokens = createTokens(expired, kim.token);
    const { client, proxy } = await open(tokens);
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room over HTTP' });
    // The socket is asked with the refused one as well.
    tokens.current = expired;
    await proxy.cut();
    await proxy.restore();
    await lee.send(roomId, '안녕하세요');
    await waitFor(() => texts(client, roomId).at(-1) === '안녕하세요', { what: 'the event' });
    expect(tokens.refused).toEqual([expired, expired]);
  });

  it('goes on with another token when its own expires while it is connected', async () => {
    const roomId = await kim.group(5);
    const expiring = await forgeToken({ exp: nowSeconds() + 6 });
    const tokens = createTokens(expiring, kim.token);
    const { client, socket } = await open(tokens);
    const codes: unknown[] = [];
    socket.on('closed', (event) => codes.push((event as { readonly code?: number }).code));
    const { ended } = watch(client, roomId);
    await waitFor(() => tokens.refused.length === 1, { what: 'the expiry' });
    expect(codes).toEqual([4403]);
    await lee.send(roomId, '안녕하세요');
    await waitFor(() => texts(client, roomId).at(-1) === '안녕하세요', { what: 'the event' });
    expect(tokens.refused).toEqual([expiring]);
    expect(shown(client, roomId).map(({ seq }) => seq)).toEqual([1, 2]);
    expect(ended).toEqual([]);
  });

  it('ends when the viewer is signed out', async () => {
    const freshToken = () => Promise.reject(new SignedOut());
    const { client } = await open({ freshToken });
    const roomId = await kim.group(5);
    const { ended } = watch(client, roomId);
    await waitFor(() => ended.length > 0, { what: 'the end' });
    expect(ended).toEqual(['UNAUTHENTICATED']);
    expect(await sendMessage(client, documents, draft(roomId)).catch(codeOf)).toBe('UNAUTHENTICATED');
  });

  it('says why a room ends', async () => {
    const { client } = await open();
    const { ended } = watch(client, await lee.group(6));
    await waitFor(() => ended.length > 0, { what: 'the refusal' });
    expect(ended).toEqual(['NOT_FOUND']);
  });
});
