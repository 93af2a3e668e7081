import { randomUUID } from 'node:crypto';
import type { Client } from '@urql/core';
import { cacheExchange, type Store } from '@urql/exchange-graphcache';
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import { SignedOut } from '../../clients/authorized-fetch.js';
import { createUrqlClient } from '../../clients/urql.js';
import { cacheOptions } from '../../clients/urql-cache.js';
import { codeOf, isPending, pageSize, sendMessage, watchRoom } from '../../clients/urql-room.js';
import { watchRooms } from '../../clients/urql-rooms.js';
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

const documents = {
  RoomPage: readOperation('RoomPage'),
  RoomEvents: readOperation('RoomEvents'),
  SendMessage: readOperation('SendMessage'),
};

interface Page {
  readonly room: {
    readonly seq: number;
    readonly epoch: string;
    readonly messages: {
      readonly edges: readonly { readonly node: Shown }[];
      readonly pageInfo: { readonly startCursor: string | null; readonly hasPreviousPage: boolean };
    };
  } | null;
}

interface List {
  readonly rooms: {
    readonly edges: readonly {
      readonly node: {
        readonly id: string;
        readonly unreadCount: number;
        readonly lastMessage: { readonly content: string };
      };
    }[];
  };
}

const fromStore = { requestPolicy: 'cache-only' } as const;
const variablesOf = (roomId: string) => ({ roomId, last: pageSize });

describeWithNats("the store of urql's graphcache, as in the recipe", () => {
  const world = useWorld({ instances: 2 });
  const warnings = vi.spyOn(console, 'warn');
  let kim: TestClient;
  let lee: TestClient;

  beforeAll(async () => {
    // Graphcache collects what nothing shows any more, but not where it is 'test'.
    vi.stubEnv('NODE_ENV', 'development');
    [kim, lee] = [await world.client(4), await world.client(5, 1)];
  });
  afterAll(() => {
    vi.unstubAllEnvs();
    warnings.mockRestore();
  });

  const serverUrl = () => world.instances[0]?.url ?? '';
  async function open({ freshToken = async () => kim.token, url = undefined as string | undefined } = {}) {
    const line = await openLine(serverUrl(), freshToken);
    const cache = cacheExchange({
      ...cacheOptions,
      resolvers: { ...cacheOptions.resolvers, Query: { ...cacheOptions.resolvers?.['Query'], typesInStore } },
    });
    return { ...line, client: createUrqlClient(url ?? line.url, line.socket, freshToken, cache) };
  }
  /** The type of each entity. A field of its own is the only way into the store. */
  const typesInStore = (_query: unknown, _args: unknown, cache: unknown) =>
    [...(cache as Store).data.records.base.values()].map(({ __typename }) => String(__typename));
  const types = (client: Client): string[] =>
    client.readQuery<{ typesInStore: string[] }>('{ typesInStore }', {}, fromStore)?.data?.typesInStore ?? [];

  function watch(client: Client, roomId: string, onReady?: () => void): { ended: string[]; stop: () => void } {
    const ended: string[] = [];
    const stop = watchRoom(client, documents, roomId, (code) => ended.push(code), onReady);
    onTestFinished(stop);
    return { ended, stop };
  }

  /** What a view shows, with what is sent but not answered. */
  const room = (client: Client, roomId: string) =>
    client.readQuery<Page>(documents.RoomPage, variablesOf(roomId), fromStore)?.data?.room;
  const shown = (client: Client, roomId: string) => room(client, roomId)?.messages.edges.map(({ node }) => node) ?? [];
  const texts = (client: Client, roomId: string) => shown(client, roomId).map(({ content }) => content);
  const seqs = (client: Client, roomId: string) => shown(client, roomId).map(({ seq }) => seq);
  /** The texts that a view is given, each time that it is. */
  function follow(client: Client, roomId: string): (readonly (string | null)[])[] {
    const views: (readonly (string | null)[])[] = [];
    const query = client.query<Page>(documents.RoomPage, variablesOf(roomId), fromStore);
    const { unsubscribe } = query.subscribe(({ data }) =>
      views.push(data?.room?.messages.edges.map(({ node }) => node.content) ?? []),
    );
    onTestFinished(unsubscribe);
    return views;
  }
  const countOf = (text: string) => (view: readonly (string | null)[]) =>
    view.filter((content) => content === text).length;
  const fresh = async (roomId: string) => {
    const { client } = await open();
    const network = { requestPolicy: 'network-only' } as const;
    return (await client.query<Page>(documents.RoomPage, variablesOf(roomId), network)).data?.room;
  };
  const draft = (roomId: string, content: string) => {
    return { id: randomUUID(), roomId, content, sender: { id: '4', name: names[4] ?? '' } };
  };
  const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

  it('has one history of all pages, into which events go', async () => {
    const roomId = await kim.group(5);
    for (let number = 1; number <= 120; number += 1) await lee.send(roomId, `${number}`);
    const { client } = await open();
    watch(client, roomId);
    const views = follow(client, roomId);
    await waitFor(() => shown(client, roomId).length === 50, { what: 'the newest page' });
    const readBefore = async (before: string | null | undefined) =>
      client.query(documents.RoomPage, { ...variablesOf(roomId), before }, { requestPolicy: 'network-only' });
    const start = room(client, roomId)?.messages.pageInfo.startCursor;
    await readBefore(start);
    expect(room(client, roomId)?.messages.pageInfo.hasPreviousPage).toBe(true);
    // The same page once more changes nothing.
    await readBefore(start);
    await lee.send(roomId, 'live');
    await waitFor(() => texts(client, roomId).at(-1) === 'live', { what: 'the event' });
    expect(seqs(client, roomId)).toEqual(numbers(22, 122));
    await readBefore(room(client, roomId)?.messages.pageInfo.startCursor);
    expect(seqs(client, roomId)).toEqual(numbers(1, 122));
    expect(room(client, roomId)?.messages.pageInfo.hasPreviousPage).toBe(false);
    await waitFor(() => views.at(-1)?.length === 122, { what: 'the view to get them' });
  });

  it('shows an own message at once and once if its answer comes first', async () => {
    const roomId = await kim.group(5);
    const url = `${serverUrl()}/graphql`;
    const { client, proxy } = await open({ url });
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    const views = follow(client, roomId);
    await proxy.cut();
    const message = draft(roomId, '여기요');
    const sending = sendMessage(client, documents, message);
    expect(texts(client, roomId)).toContain('여기요');
    expect(shown(client, roomId).map(isPending)).toEqual([false, true]);
    await sending;
    expect(shown(client, roomId).some(isPending)).toBe(false);
    // The same once more.
    await sendMessage(client, documents, message);
    expect(shown(client, roomId)[1]).toMatchObject({ id: message.id, seq: 2, content: '여기요' });
    await proxy.restore();
    await lee.send(roomId, '네');
    await waitFor(() => texts(client, roomId).at(-1) === '네', { what: 'the events' });
    expect(seqs(client, roomId)).toEqual([1, 2, 3]);
    expect(Math.max(...views.map(countOf('여기요')))).toBe(1);
  });

  it('shows an own message at once and once if its event comes first, and before it what others send', async () => {
    const roomId = await kim.group(5);
    let isHeld = true;
    const { url } = await startAnswerProxy(serverUrl(), async (pass) => {
      const answer = await pass();
      await waitFor(() => !isHeld, { what: 'the event' });
      return answer;
    });
    const { client } = await open({ url });
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    const views = follow(client, roomId);
    const sending = sendMessage(client, documents, draft(roomId, '여기요'));
    await waitFor(async () => (await fresh(roomId))?.seq === 2, { what: 'it to arrive' });
    await lee.send(roomId, '네');
    await waitFor(() => texts(client, roomId).includes('네'), { what: 'both events' });
    expect(countOf('여기요')(texts(client, roomId))).toBe(1);
    isHeld = false;
    await sending;
    expect(texts(client, roomId).slice(1)).toEqual(['여기요', '네']);
    expect(seqs(client, roomId)).toEqual([1, 2, 3]);
    expect(Math.max(...views.map(countOf('여기요')))).toBe(1);
  });

  it('takes back what is refused, with its code', async () => {
    const roomId = await kim.group(5);
    const { client } = await open();
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    const message = draft(roomId, '여기요');
    await sendMessage(client, documents, message);
    const views = follow(client, roomId);
    // The same id with another text, and a new message that is too long, while another member sends.
    for (const bad of [{ ...message, content: '다른 글' }, draft(roomId, 'x'.repeat(4_001))]) {
      const sending = sendMessage(client, documents, bad).catch(codeOf);
      expect(texts(client, roomId)).toContain(bad.content);
      await lee.send(roomId, '네');
      expect(await sending).toBe(bad.id === message.id ? 'CONFLICT' : 'BAD_USER_INPUT');
      expect(texts(client, roomId)).not.toContain(bad.content);
    }
    await waitFor(() => shown(client, roomId).length === 4, { what: 'the events' });
    expect(texts(client, roomId).slice(1)).toEqual(['여기요', '네', '네']);
    await waitFor(() => views.at(-1)?.length === 4, { what: 'the view to get it' });
  });

  it('repeats a message with the same id if its answer is lost or the server is busy, and shows it meanwhile', async () => {
    const roomId = await kim.group(5);
    let isBusy = true;
    const held: Fault = async (pass) => {
      await waitFor(() => !isBusy, { what: 'the event of another' });
      return pass();
    };
    const busy = [refused('UNAVAILABLE', 20), refused('RATE_LIMITED', 20)];
    const proxy = await startAnswerProxy(serverUrl(), lost, ...busy, held);
    const { client } = await open({ url: proxy.url });
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    const message = draft(roomId, '여기요');
    const sending = sendMessage(client, documents, message);
    const views = follow(client, roomId);
    // The events of others are shown meanwhile.
    await lee.send(roomId, '네');
    await waitFor(() => texts(client, roomId).includes('네'), { what: 'the event' });
    isBusy = false;
    await sending;
    expect(proxy.sent).toEqual(Array.from({ length: 4 }, () => message.id));
    await waitFor(() => seqs(client, roomId).at(-1) === 3, { what: 'its place' });
    expect(new Set(views.map(countOf('여기요')))).toEqual(new Set([1]));
    expect(shown(client, roomId)).toEqual((await fresh(roomId))?.messages.edges.map(({ node }) => node));
  });

  it('shows messages that are sent at once in their order, and each once in the end', async () => {
    const roomId = await kim.group(5);
    const proxy = await startAnswerProxy(serverUrl(), refused('UNAVAILABLE', 300));
    const { client } = await open({ url: proxy.url });
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    const sending = ['하나', '둘', '셋'].map((text) => sendMessage(client, documents, draft(roomId, text)));
    expect(texts(client, roomId).slice(1)).toEqual(['하나', '둘', '셋']);
    await sending[1];
    // Graphcache has kept this answer until the first message was repeated.
    expect(proxy.sent).toHaveLength(4);
    await Promise.all(sending);
    await waitFor(() => seqs(client, roomId).at(-1) === 4, { what: 'their places' });
    expect(new Set(texts(client, roomId).slice(1))).toEqual(new Set(['하나', '둘', '셋']));
    expect(seqs(client, roomId)).toEqual([1, 2, 3, 4]);
  });

  it('sends in the order of the calls, however long each takes', async () => {
    const roomId = await kim.group(5);
    const slow: Fault = async (pass) => {
      await new Promise((resolve) => setTimeout(resolve, 60));
      return pass();
    };
    const quick: Fault = (pass) => pass();
    const proxy = await startAnswerProxy(serverUrl(), slow, refused('UNAVAILABLE', 50), quick, slow);
    const { client } = await open({ url: proxy.url });
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    const order = Array.from({ length: 12 }, (_, index) => `${index + 1}`);
    const sending = order.map((content) => sendMessage(client, documents, draft(roomId, content)));
    expect(shown(client, roomId).map(isPending)).toEqual([false, ...order.map(() => true)]);
    await Promise.all(sending);
    await waitFor(() => shown(client, roomId).at(-1)?.seq === 13, { what: 'the last' });
    expect(texts(client, roomId).slice(1)).toEqual(order);
    expect(shown(client, roomId).some(isPending)).toBe(false);
  });

  it('stops repeating in the end, and says why', async () => {
    const roomId = await kim.group(5);
    const busy = Array.from({ length: 11 }, () => refused('UNAVAILABLE', 10));
    const proxy = await startAnswerProxy(serverUrl(), ...busy);
    const { client } = await open({ url: proxy.url });
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    expect(await sendMessage(client, documents, draft(roomId, '여기요')).catch(codeOf)).toBe('UNAVAILABLE');
    expect(proxy.sent).toHaveLength(11);
    expect(shown(client, roomId)).toHaveLength(1);
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
    const expected = await fresh(roomId);
    const newest = expected?.messages.edges.map(({ node }) => node) ?? [];
    expect(shown(client, roomId).slice(-newest.length)).toEqual(newest);
    expect(room(client, roomId)).toMatchObject({ seq: expected?.seq, epoch: expected?.epoch });
    const all = seqs(client, roomId);
    expect(new Set(all).size).toBe(all.length);
    expect(ended).toEqual([]);
    await waitFor(() => types(client).filter((type) => type === 'Message').length === all.length, {
      what: 'no others',
    });
    // The page that was read first has the only edges.
    expect(types(client).filter((type) => type === 'MessageEdge')).toHaveLength(1);
    expect(types(client).length).toBeLessThan(all.length + 15);
  });

  it('shows what the other operations change, and the newest message of a room in the list', async () => {
    const roomId = await kim.group(5);
    const { client } = await open();
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    const inbox = client.subscription(readOperation('InboxEvents'), {}).subscribe(() => undefined);
    onTestFinished(inbox.unsubscribe);
    const list = () => {
      const result = client.readQuery<List>(readOperation('RoomList'), { first: 100 }, fromStore);
      return result?.data?.rooms.edges.find(({ node }) => node.id === roomId)?.node;
    };
    await client.query(readOperation('RoomList'), { first: 100 });
    await client.query(readOperation('RoomMembers'), { roomId, first: 100 });
    const { id: messageId } = (await lee.send(roomId, '네')).message;
    await waitFor(() => list()?.unreadCount === 1 && list()?.lastMessage.content === '네', { what: 'the badge' });
    await client.mutation(readOperation('MarkRead'), { input: { roomId, messageId } });
    expect(list()?.unreadCount).toBe(0);
    const messages = [draft(roomId, '여기요'), draft(roomId, '지울 글')];
    for (const message of messages) await sendMessage(client, documents, message);
    const [edited, deleted] = messages.map(({ id }) => id);
    await client.mutation(readOperation('EditMessage'), { input: { messageId: edited, content: '고친 글' } });
    await client.mutation(readOperation('DeleteMessage'), { input: { messageId: deleted } });
    await waitFor(() => texts(client, roomId).at(-1) === null, { what: 'the deletion' });
    expect(texts(client, roomId).slice(1)).toEqual(['네', '고친 글', null]);
  });

  it('has who types and who is there where the room and its people are', async () => {
    const roomId = await kim.group(5);
    const { client } = await open();
    watch(client, roomId);
    const people = `query People($roomId: ID!) {
      room(id: $roomId) {
        id
        typing { id }
        members { id user { id presence { status } } }
      }
    }`;
    interface People {
      room: {
        typing: { id: string }[];
        members: { user: { id: string; presence: { status: string } } }[];
      };
    }
    await client.query(people, { roomId });
    const read = () => client.readQuery<People>(people, { roomId }, fromStore)?.data?.room;
    const typing = () => read()?.typing.map(({ id }) => id);
    const status = () => read()?.members.find(({ user }) => user.id === '5')?.user.presence.status;
    for (const [name, variables] of [
      ['Typing', { roomId }],
      ['Presence', { userIds: ['5'] }],
    ] as const) {
      onTestFinished(client.subscription(readOperation(name), variables).subscribe(() => undefined).unsubscribe);
    }
    await lee.ws(setTyping, { input: { roomId, isTyping: true } });
    await waitFor(() => typing()?.[0] === '5' && status() === 'ONLINE', { what: 'both' });
    await lee.ws(setTyping, { input: { roomId, isTyping: false } });
    await waitFor(() => typing()?.length === 0, { what: 'the end' });
  });

  it('keeps what is newer when an answer comes late: deletions, edits, new messages and read marks', async () => {
    const roomId = await kim.group(5);
    const proxy = await startAnswerProxy(serverUrl());
    const { client } = await open({ url: proxy.url });
    const own = [];
    for (const text of ['지울 글', '고칠 글']) own.push((await lee.send(roomId, text)).message.id);
    const [deleted = '', edited = ''] = own;
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 3, { what: 'the room' });
    follow(client, roomId);
    const network = { requestPolicy: 'network-only' } as const;
    const members = [readOperation('RoomMembers'), { roomId, first: 10 }] as const;
    await client.query(...members, network);
    interface Members {
      readonly room: {
        readonly memberPage: {
          readonly edges: readonly {
            readonly node: { readonly user: { readonly id: string }; readonly lastReadSeq: number };
          }[];
        };
      };
    }
    const markOf = () =>
      client
        .readQuery<Members>(...members, fromStore)
        ?.data?.room.memberPage.edges.find(({ node }) => node.user.id === '5')?.node.lastReadSeq;
    const held = [proxy.hold('RoomPage'), proxy.hold('RoomMembers')];
    const late = [
      client.query(documents.RoomPage, variablesOf(roomId), network).toPromise(),
      client.query(...members, network).toPromise(),
    ];
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
    const proxy = await startAnswerProxy(serverUrl());
    const { client } = await open({ url: proxy.url });
    const { id: messageId } = (await kim.send(roomId, '글')).message;
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 2, { what: 'the room' });
    const held = proxy.hold('EditMessage');
    const edit = { input: { messageId, content: '고침' } };
    const editing = client.mutation(readOperation('EditMessage'), edit).toPromise();
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
    await client.query(documents.RoomPage, variablesOf(roomId));
    await client.mutation(readOperation('DeleteMessage'), { input: { messageId } });
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
    const ended: string[] = [];
    const lists = { RoomList: readOperation('RoomList'), InboxEvents: readOperation('InboxEvents') };
    onTestFinished(watchRooms(client, lists, (code) => ended.push(code)));
    const ids = () =>
      client.readQuery<List>(lists.RoomList, { first: 50 }, fromStore)?.data?.rooms.edges.map(({ node }) => node.id) ??
      [];
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

  it('shows more rooms with the next page', async () => {
    for (let count = 0; count < 3; count += 1) await kim.group(5);
    const { client } = await open();
    const RoomList = readOperation('RoomList');
    const list = () =>
      client.readQuery<List & { rooms: { pageInfo: { endCursor: string } } }>(RoomList, { first: 2 }, fromStore)?.data
        ?.rooms;
    await client.query(RoomList, { first: 2 });
    expect(list()?.edges).toHaveLength(2);
    const next = { first: 2, after: list()?.pageInfo.endCursor };
    await client.query(RoomList, next, { requestPolicy: 'network-only' });
    expect(list()?.edges.length).toBeGreaterThan(2);
  });

  it('has no hole when a room is opened again after more than a page, even if the viewer has sent meanwhile', async () => {
    const roomId = await kim.group(5);
    const { client } = await open();
    const { stop } = watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    stop();
    for (let number = 1; number <= 60; number += 1) await lee.send(roomId, `${number}`);
    await sendMessage(client, documents, draft(roomId, '여기요'));
    watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 50, { what: 'the newest page' });
    expect(seqs(client, roomId)).toEqual(numbers(13, 62));
    expect(room(client, roomId)?.messages.pageInfo.hasPreviousPage).toBe(true);
  });

  it('leaves out an older page of a list that another one has replaced', async () => {
    const roomId = await kim.group(5);
    for (let number = 2; number <= 60; number += 1) await lee.send(roomId, `${number}`);
    const { client } = await open();
    const { stop } = watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 50, { what: 'the newest page' });
    stop();
    const before = room(client, roomId)?.messages.pageInfo.startCursor;
    for (let number = 61; number <= 120; number += 1) await lee.send(roomId, `${number}`);
    watch(client, roomId);
    await waitFor(() => seqs(client, roomId)[0] === 71, { what: 'the newest page' });
    await client.query(documents.RoomPage, { ...variablesOf(roomId), before }, { requestPolicy: 'network-only' });
    expect(seqs(client, roomId)).toEqual(numbers(71, 120));
  });

  it('reads the room again after RoomResync, without what is not in the log any more', async () => {
    const roomId = await kim.group(5);
    for (const text of ['1', '2', '잃어버린 글']) await lee.send(roomId, text);
    const { client, proxy } = await open();
    const { ended } = watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 4, { what: 'the room' });
    const views = follow(client, roomId);
    // A backup without the last message is restored while the line is cut.
    await proxy.cut();
    await loseNewest(world, roomId);
    await proxy.restore();
    await waitFor(() => shown(client, roomId).length === 3, { what: 'the room without it' });
    await lee.send(roomId, '새 글');
    await waitFor(() => texts(client, roomId).at(-1) === '새 글', { what: 'an event after it' });
    expect(texts(client, roomId).slice(1)).toEqual(['1', '2', '새 글']);
    expect(ended).toEqual([]);
    // The list is replaced, and never empty in between.
    expect(Math.min(...views.map(({ length }) => length))).toBe(3);
    await waitFor(() => types(client).filter((type) => type === 'Message').length === 4, { what: 'no others' });
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
    expect(seqs(client, roomId)).toEqual([1, 2]);
    expect(ended).toEqual([]);
  });

  it('ends when the viewer is signed out', async () => {
    const freshToken = () => Promise.reject(new SignedOut());
    const { client } = await open({ freshToken });
    const roomId = await kim.group(5);
    const { ended } = watch(client, roomId);
    await waitFor(() => ended.length > 0, { what: 'the end' });
    expect(ended).toEqual(['UNAUTHENTICATED']);
    expect(await sendMessage(client, documents, draft(roomId, '여기요')).catch(codeOf)).toBe('UNAUTHENTICATED');
  });

  it('says why a room ends, once', async () => {
    const { client } = await open();
    const [strange, wrong] = [watch(client, await lee.group(6)), watch(client, 'no id of a room')];
    await waitFor(() => strange.ended.length > 0 && wrong.ended.length > 0, { what: 'the refusals' });
    const roomId = await lee.group(4);
    const { ended } = watch(client, roomId);
    await waitFor(() => shown(client, roomId).length === 1, { what: 'the room' });
    // A member who is removed before the subscription begins is refused with NOT_FOUND.
    await lee.send(roomId, '안녕히 가세요');
    await waitFor(() => shown(client, roomId).length === 2, { what: 'the subscription' });
    await lee.http(removeMember, { input: { roomId, userId: '4' } });
    await waitFor(() => ended.length > 0, { what: 'the end' });
    expect([strange.ended, wrong.ended, ended]).toEqual([['NOT_FOUND'], ['BAD_USER_INPUT'], ['FORBIDDEN']]);
  });

  it('has given graphcache no reason for a warning', () => {
    expect(warnings.mock.calls).toEqual([]);
  });
});
