import { createHash, randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Client } from 'graphql-ws';
import {
  commitLocalUpdate,
  createOperationDescriptor,
  type Environment,
  fetchQuery,
  getFragment,
  getRequest,
  getSingularSelector,
} from 'relay-runtime';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import type { peopleMembersQuery$data } from '../../clients/relay/__generated__/peopleMembersQuery.graphql.js';
import type { room_message$data } from '../../clients/relay/__generated__/room_message.graphql.js';
import type { room_messages$data } from '../../clients/relay/__generated__/room_messages.graphql.js';
import type { roomQuery$data } from '../../clients/relay/__generated__/roomQuery.graphql.js';
import type { rooms_list$data } from '../../clients/relay/__generated__/rooms_list.graphql.js';
import type { rooms_room$data } from '../../clients/relay/__generated__/rooms_room.graphql.js';
import type { roomsQuery$data } from '../../clients/relay/__generated__/roomsQuery.graphql.js';
import { codeOf, createRelayEnvironment } from '../../clients/relay/environment.js';
import { deleteMessage, editMessage, isPending, sendMessage } from '../../clients/relay/messages.js';
import {
  markRead,
  membersDocument,
  setTyping as showTyping,
  watchPresence,
  watchTyping,
} from '../../clients/relay/people.js';
import { loadOlder, messageFragment, messagesFragment, roomDocument, watchRoom } from '../../clients/relay/room.js';
import { listedRoomFragment, roomsDocument, roomsFragment, watchRooms } from '../../clients/relay/rooms.js';
import { createResumingSocket, type FreshToken } from '../../clients/resume.js';
import { names, type TestClient } from '../support/client.js';
import { makePhoto, upload } from '../support/files.js';
import { startHttpProxy } from '../support/http-proxy.js';
import { editMessage as edit, moveMark, removeMember, roomPosition, setTyping } from '../support/operations.js';
import { useRandom } from '../support/random.js';
import { describeWithNats } from '../support/requirements.js';
import { readStoredLog } from '../support/room-log.js';
import { cutAtRandom, writeAtRandom } from '../support/store-scenario.js';
import { startTcpProxy } from '../support/tcp-proxy.js';
import { forgeToken, nowSeconds } from '../support/tokens.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

/** What the compiler wrote to register with the server, as `persistConfig` says. */
const manifest = resolve(import.meta.dirname, '../../clients/relay/__generated__/documents.json');

describeWithNats('the store of Relay, as in the recipe', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fairway-relay-'));
  const world = useWorld({ instances: 2, env: { STORAGE_URL: `file:${folder}` } });
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }));
  let kim: TestClient;
  let lee: TestClient;

  beforeAll(async () => {
    [kim, lee] = [await world.client(4), await world.client(5, 1)];
  });

  /** @param http - another address for what goes over HTTP */
  async function open({ http, freshToken = async () => kim.token }: { http?: string; freshToken?: FreshToken } = {}) {
    const proxy = await startTcpProxy(world.instances[0]?.url ?? '');
    const url = new URL('/graphql', proxy.url).href;
    const socket = createResumingSocket(url, freshToken, {
      webSocketImpl: WebSocket,
      retryWait: () => new Promise((resolve) => setTimeout(resolve, 20)),
    });
    onTestFinished(async () => {
      await socket.dispose();
      await proxy.stop();
    });
    return { environment: createRelayEnvironment(http ?? url, socket, freshToken), proxy, socket };
  }

  function watch(environment: Environment, roomId: string): { ended: string[]; stop: () => void } {
    const ended: string[] = [];
    const stop = watchRoom(environment, roomId, (code) => ended.push(code));
    onTestFinished(stop);
    return { ended, stop };
  }

  /** What a view shows, as Relay's hooks read it. */
  const read = (environment: Environment, roomId: string) => {
    const { fragment } = createOperationDescriptor(getRequest(roomDocument), { roomId });
    const { room } = environment.lookup(fragment).data as roomQuery$data;
    const selector = getSingularSelector(getFragment(messagesFragment), room);
    const list = environment.lookup(selector);
    const { messages } = list.data as room_messages$data;
    const shown = messages.edges.map(
      ({ node }) =>
        environment.lookup(getSingularSelector(getFragment(messageFragment), node)).data as room_message$data,
    );
    return { room, list, shown, pageInfo: messages.pageInfo };
  };
  const shown = (environment: Environment, roomId: string): readonly room_message$data[] => {
    const { fragment } = createOperationDescriptor(getRequest(roomDocument), { roomId });
    const data = environment.lookup(fragment).data as Partial<roomQuery$data> | undefined;
    return data?.room == null ? [] : read(environment, roomId).shown;
  };
  const texts = (environment: Environment, roomId: string) => shown(environment, roomId).map(({ content }) => content);
  const seqs = (environment: Environment, roomId: string) => shown(environment, roomId).map(({ seq }) => seq);
  const upTo = (length: number, first = 1) => Array.from({ length }, (_, index) => index + first);
  const isOpen = (environment: Environment, roomId: string, length = 1) =>
    waitFor(() => shown(environment, roomId).length === length, { what: 'the room' });
  /** Every number of messages with this text that a view was ever told to show. */
  const countsOf = (environment: Environment, roomId: string, text: string): number[] => {
    const counts: number[] = [];
    const count = () => counts.push(texts(environment, roomId).filter((content) => content === text).length);
    const subscription = environment.subscribe(read(environment, roomId).list, count);
    onTestFinished(() => subscription.dispose());
    return counts;
  };
  const records = (environment: Environment) =>
    Object.values(environment.getStore().getSource().toJSON() as Record<string, { __typename: string; __id: string }>);
  const collected = async (environment: Environment) => {
    // The public type of a store lacks what apps never need.
    const store = environment.getStore() as ReturnType<Environment['getStore']> & { scheduleGC(): void };
    store.scheduleGC();
    await waitFor(() => !records(environment).some(({ __id }) => __id.startsWith('client:local:')), {
      what: 'the end',
    });
    return records(environment);
  };
  const own = (roomId: string, content = '여기요') => ({
    id: randomUUID(),
    roomId,
    content,
    sender: { id: '4', name: names[4] ?? '' },
  });
  const endpoint = () => `${world.instances[0]?.url}/graphql`;
  const isSend = (body: string) => body.includes('sendMessage');
  const refusal = (code: string, retryAfterMs?: number) =>
    JSON.stringify({ errors: [{ message: 'not now', extensions: { code, retryAfterMs } }] });

  it('has one history of all pages, into which events go', async () => {
    const roomId = await kim.group(5);
    for (let number = 1; number <= 120; number += 1) await lee.send(roomId, `${number}`);
    const { environment } = await open();
    watch(environment, roomId);
    await isOpen(environment, roomId, 50);
    const counts: number[] = [];
    environment.subscribe(read(environment, roomId).list, () => counts.push(shown(environment, roomId).length));
    const { startCursor } = read(environment, roomId).pageInfo;
    await lee.send(roomId, 'live');
    await waitFor(() => texts(environment, roomId).at(-1) === 'live', { what: 'the event' });
    // The same page twice at a time, as an impatient finger asks for it.
    const older = () => loadOlder(environment, roomId, startCursor ?? '');
    await Promise.all([older(), older()]);
    expect(seqs(environment, roomId)).toEqual(upTo(101, 22));
    await loadOlder(environment, roomId, read(environment, roomId).pageInfo.startCursor ?? '');
    expect(seqs(environment, roomId)).toEqual(upTo(122));
    expect(read(environment, roomId).pageInfo.hasPreviousPage).toBe(false);
    expect(counts.at(-1)).toBe(122);
  });

  it('misses nothing between the page and the events', async () => {
    const roomId = await kim.group(5);
    const http = await startHttpProxy(endpoint(), async (_body, execute) => {
      const answer = await execute();
      await lee.send(roomId, '사이');
      return answer;
    });
    const { environment } = await open({ http });
    watch(environment, roomId);
    await isOpen(environment, roomId, 2);
    expect(seqs(environment, roomId)).toEqual([1, 2]);
  });

  it('equals a fresh query after cuts at 50 random moments, and does not grow beyond its messages', async () => {
    const random = useRandom();
    const roomId = await kim.group(5);
    const { environment, proxy } = await open();
    const { ended } = watch(environment, roomId);
    await isOpen(environment, roomId);
    const catchUp = async () => {
      const { room } = await lee.http(roomPosition, { id: roomId });
      await waitFor(() => read(environment, roomId).room?.seq === room?.seq, { what: 'the client to catch up' });
    };
    await cutAtRandom(random, proxy, { cuts: 50, act: writeAtRandom(random, lee, roomId), catchUp });
    await lee.send(roomId, '끝');
    await waitFor(() => texts(environment, roomId).at(-1) === '끝', { what: 'the last message' });
    const { environment: other } = await open();
    watch(other, roomId);
    await isOpen(other, roomId, 50);
    expect(shown(environment, roomId).slice(-50)).toEqual(shown(other, roomId));
    const found = seqs(environment, roomId);
    expect(found).toEqual([...new Set(found)].sort((a, b) => a - b));
    expect(ended).toEqual([]);
    expect(read(environment, roomId).room?.seq).toBe(read(other, roomId).room?.seq);

    const kept = await collected(environment);
    const count = (type: string) => kept.filter(({ __typename }) => __typename === type).length;
    expect(count('Message')).toBe(found.length);
    // One more: the first page is kept as it came, beside the list.
    expect(count('MessageEdge')).toBe(found.length + 1);
    expect(kept.length).toBeLessThan(found.length * 2 + 20);
  });

  it('removes what events leave behind after every hundred, and a room after it is closed', async () => {
    const roomId = await kim.group(5);
    const { environment } = await open();
    const { stop } = watch(environment, roomId);
    await isOpen(environment, roomId);
    const releaseOthers = () => {
      for (let number = 0; number < 10; number += 1) {
        const other = createOperationDescriptor(getRequest(roomDocument), { roomId: randomUUID() });
        environment.retain(other).dispose();
      }
    };
    releaseOthers();
    for (let number = 1; number <= 120; number += 1) await lee.send(roomId, `${number}`);
    await isOpen(environment, roomId, 121);
    await waitFor(() => records(environment).filter(({ __id }) => /^client:local:\d+$/.test(__id)).length < 100, {
      what: 'the removal',
    });
    expect(shown(environment, roomId)).toHaveLength(121);

    stop();
    releaseOthers();
    await waitFor(() => !records(environment).some(({ __typename }) => __typename === 'Message'), { what: 'the end' });
  });

  it('shows an own message at once and once if its answer comes first, and takes back what is refused', async () => {
    const roomId = await kim.group(5);
    const { environment, proxy } = await open({ http: endpoint() });
    watch(environment, roomId);
    await isOpen(environment, roomId);
    const counts = countsOf(environment, roomId, '여기요');
    const orders: (readonly number[])[] = [];
    environment.subscribe(read(environment, roomId).list, () => orders.push(seqs(environment, roomId)));
    await proxy.cut();
    await lee.send(roomId, '먼저');
    const message = own(roomId);
    const sending = sendMessage(environment, message);
    expect(texts(environment, roomId).at(-1)).toBe('여기요');
    await sending;
    // A retry of the same message.
    await sendMessage(environment, message);
    expect(shown(environment, roomId).at(-1)).toMatchObject({ id: message.id, seq: 3 });
    await lee.send(roomId, '네');
    await proxy.restore();
    await waitFor(() => texts(environment, roomId).at(-1) === '네', { what: 'the events' });
    expect(seqs(environment, roomId)).toEqual([1, 2, 3, 4]);
    expect(orders).toEqual(orders.map((order) => [...order].sort((a, b) => a - b)));
    expect(Math.max(...counts)).toBe(1);
    expect(Math.min(...counts)).toBe(1);

    const refused = sendMessage(environment, { ...message, content: '다른 글' }).catch(codeOf);
    expect(texts(environment, roomId)).toContain('다른 글');
    expect(await refused).toBe('CONFLICT');
    const tooLong = sendMessage(environment, own(roomId, 'x'.repeat(4_001))).catch(codeOf);
    expect(shown(environment, roomId)).toHaveLength(5);
    expect(await tooLong).toBe('BAD_USER_INPUT');
    expect(texts(environment, roomId).slice(1)).toEqual(['먼저', '여기요', '네']);
  });

  it('shows an own message once if its event comes first', async () => {
    const roomId = await kim.group(5);
    let hasEvent = false;
    const http = await startHttpProxy(endpoint(), async (body, execute) => {
      const answer = await execute();
      if (isSend(body)) await waitFor(() => hasEvent, { what: 'the event' });
      return answer;
    });
    const { environment } = await open({ http });
    watch(environment, roomId);
    await isOpen(environment, roomId);
    const counts = countsOf(environment, roomId, '여기요');
    const sending = sendMessage(environment, own(roomId));
    // The position of the room comes with the event alone.
    await waitFor(() => read(environment, roomId).room?.seq === 2, { what: 'the event' });
    expect(texts(environment, roomId).slice(1)).toEqual(['여기요']);
    hasEvent = true;
    await sending;
    expect(seqs(environment, roomId)).toEqual([1, 2]);
    expect([...new Set(counts)]).toEqual([1]);
  });

  it('repeats a message with the same id when its answer is lost, or comes later if the server asks for it', async () => {
    const roomId = await kim.group(5);
    const attempts: { readonly at: number; readonly id: string; readonly shown: number }[] = [];
    const http = await startHttpProxy(endpoint(), async (body, execute) => {
      if (!isSend(body)) return execute();
      const { id } = JSON.parse(body).variables.input;
      attempts.push({
        at: performance.now(),
        id,
        shown: texts(environment, roomId).filter((it) => it === '여기요').length,
      });
      if (attempts.length === 1) return refusal('RATE_LIMITED', 300);
      const answer = await execute();
      return attempts.length === 2 ? undefined : answer;
    });
    const { environment } = await open({ http });
    watch(environment, roomId);
    await isOpen(environment, roomId);
    const message = own(roomId);
    await sendMessage(environment, message);
    const [first, second, ...others] = attempts;
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(299);
    expect(others).toHaveLength(1);
    expect(attempts.map(({ id }) => id)).toEqual(Array(3).fill(message.id));
    expect(attempts.map((attempt) => attempt.shown)).toEqual([1, 1, 1]);
    await lee.send(roomId, '네');
    await waitFor(() => texts(environment, roomId).at(-1) === '네', { what: 'the events' });
    expect(texts(environment, roomId).slice(1)).toEqual(['여기요', '네']);
  });

  it('gives up after ten repeats, with the code', async () => {
    const roomId = await kim.group(5);
    let attempts = 0;
    const http = await startHttpProxy(endpoint(), async (body, execute) => {
      if (!isSend(body)) return execute();
      attempts += 1;
      return refusal('UNAVAILABLE', 1);
    });
    const { environment } = await open({ http });
    watch(environment, roomId);
    await isOpen(environment, roomId);
    expect(await sendMessage(environment, own(roomId)).catch(codeOf)).toBe('UNAVAILABLE');
    expect(attempts).toBe(11);
    expect(shown(environment, roomId)).toHaveLength(1);
  });

  it('loses nothing if a view asks again, and its answer is older than events that came before it', async () => {
    const roomId = await kim.group(5);
    const first = (await kim.send(roomId, '처음')).message;
    let [isHeld, isMade] = [false, false];
    const http = await startHttpProxy(endpoint(), async (_body, execute) => {
      const answer = await execute();
      isMade = isHeld;
      await waitFor(() => !isHeld, { what: 'the events' });
      return answer;
    });
    const { environment } = await open({ http });
    const { ended } = watch(environment, roomId);
    await isOpen(environment, roomId, 2);
    isHeld = true;
    const answered = fetchQuery(environment, roomDocument, { roomId }, { fetchPolicy: 'network-only' }).toPromise();
    await waitFor(() => isMade, { what: 'the answer to be made' });
    await lee.send(roomId, '새 글');
    await kim.http(edit, { input: { messageId: first.id, content: '고친 글' } });
    await waitFor(() => texts(environment, roomId).includes('고친 글'), { what: 'the events' });
    isHeld = false;
    await answered;
    await waitFor(() => texts(environment, roomId).at(-1) === '새 글', { what: 'the message to be there again' });
    await lee.send(roomId, '네');
    await waitFor(() => texts(environment, roomId).at(-1) === '네', { what: 'the next message' });
    expect(texts(environment, roomId).slice(1)).toEqual(['고친 글', '새 글', '네']);
    expect(ended).toEqual([]);
  });

  it('sends in the order of the calls, however long each takes, and edits and deletes behind them', async () => {
    const roomId = await kim.group(5);
    let sends = 0;
    const http = await startHttpProxy(endpoint(), async (body, execute) => {
      if (!isSend(body)) return execute();
      sends += 1;
      if (sends === 2) return refusal('UNAVAILABLE', 50);
      await new Promise((resolve) => setTimeout(resolve, sends % 3 === 1 ? 40 : 0));
      return execute();
    });
    const { environment } = await open({ http });
    watch(environment, roomId);
    await isOpen(environment, roomId);
    const messages = upTo(12).map((number) => own(roomId, `${number}`));
    const sending = messages.map((message) => sendMessage(environment, message));
    expect(shown(environment, roomId).map(isPending)).toEqual([false, ...Array(12).fill(true)]);
    const [one, two] = messages.map(({ id }) => id);
    await Promise.all([
      ...sending,
      editMessage(environment, roomId, one ?? '', '하나'),
      deleteMessage(environment, roomId, two ?? ''),
    ]);
    expect(texts(environment, roomId).slice(1)).toEqual(['하나', null, ...upTo(10, 3).map(String)]);
    expect(shown(environment, roomId).map(isPending)).toEqual(Array(13).fill(false));
    expect(shown(environment, roomId)[1]).toMatchObject({ viewerCanEdit: true, viewerCanDelete: true });
    const { environment: other } = await open();
    watch(other, roomId);
    await waitFor(() => texts(other, roomId).at(-1) === '12', { what: 'the room' });
    expect(texts(other, roomId)).toEqual(texts(environment, roomId));
  });

  it('gives up the messages that wait behind one that is given up, and sends them when asked again', async () => {
    const roomId = await kim.group(5);
    let [isAway, attempts] = [true, 0];
    const http = await startHttpProxy(endpoint(), async (body, execute) => {
      if (!isAway || !isSend(body)) return execute();
      attempts += 1;
      return refusal('UNAVAILABLE', 1);
    });
    const { environment } = await open({ http });
    watch(environment, roomId);
    await isOpen(environment, roomId);
    const messages = upTo(3).map((number) => own(roomId, `${number}`));
    const send = () => Promise.all(messages.map((message) => sendMessage(environment, message).catch(codeOf)));
    expect(await send()).toEqual(Array(3).fill('UNAVAILABLE'));
    expect(attempts).toBe(11);
    expect(shown(environment, roomId)).toHaveLength(1);
    isAway = false;
    expect(await send()).toEqual([undefined, undefined, undefined]);
    expect(texts(environment, roomId).slice(1)).toEqual(['1', '2', '3']);
  });

  it('sends a picture', async () => {
    const roomId = await kim.group(5);
    const { environment } = await open();
    watch(environment, roomId);
    await isOpen(environment, roomId);
    await sendMessage(environment, { ...own(roomId, 'https://example.com/a.png'), type: 'IMAGE' });
    expect(shown(environment, roomId).at(-1)).toMatchObject({ type: 'IMAGE', seq: 2 });
  });

  it('has the read marks that moved during a break', async () => {
    const roomId = await kim.group(5);
    const sent = (await kim.send(roomId, '읽어 주세요')).message;
    const { environment, proxy } = await open({ http: endpoint() });
    watch(environment, roomId);
    await isOpen(environment, roomId, 2);
    const query = createOperationDescriptor(getRequest(membersDocument), { roomId });
    onTestFinished(() => environment.retain(query).dispose());
    environment.retain(query);
    await fetchQuery(environment, membersDocument, { roomId }).toPromise();
    const marks = () => {
      const { room } = environment.lookup(query.fragment).data as peopleMembersQuery$data;
      return room?.memberPage.edges.map(({ node }) => node.lastReadSeq);
    };
    await proxy.cut();
    await lee.http(moveMark, { input: { roomId, messageId: sent.id } });
    await proxy.restore();
    await waitFor(() => marks()?.[1] === 2, { what: 'the mark' });
  });

  it('keeps the list of rooms, and what is unread', async () => {
    const { environment } = await open();
    const ended: string[] = [];
    const query = createOperationDescriptor(getRequest(roomsDocument), {});
    const rooms = () => {
      const data = environment.lookup(query.fragment).data as Partial<roomsQuery$data> | undefined;
      const selector = data === undefined ? undefined : getSingularSelector(getFragment(roomsFragment), data);
      const list = selector == null ? undefined : (environment.lookup(selector).data as Partial<rooms_list$data>);
      return (list?.rooms?.edges ?? []).map(
        ({ node }) =>
          environment.lookup(getSingularSelector(getFragment(listedRoomFragment), node)).data as rooms_room$data,
      );
    };
    onTestFinished(watchRooms(environment, (code) => ended.push(code)));
    const first = await kim.group(5);
    await waitFor(() => rooms()[0]?.id === first, { what: 'the first room' });
    const second = await lee.group(4);
    await waitFor(() => rooms()[0]?.id === second, { what: 'the second room' });
    const sent = (await lee.send(first, '안녕하세요')).message;
    await waitFor(() => rooms()[0]?.id === first && rooms()[0]?.unreadCount === 1, { what: 'the message' });
    expect(rooms()[1]?.id).toBe(second);
    expect(rooms()[0]?.lastMessage?.content).toBe('안녕하세요');
    markRead(environment, first, sent.id);
    await waitFor(() => rooms()[0]?.unreadCount === 0, { what: 'the mark' });
    await lee.http(removeMember, { input: { roomId: second, userId: '4' } });
    await waitFor(() => rooms().every(({ id }) => id !== second), { what: 'the room to be gone' });
    expect(new Set(rooms().map(({ id }) => id)).size).toBe(rooms().length);
    expect(ended).toEqual([]);
  });

  it('watches typing and presence again after what is temporary, and nobody if there is nobody', async () => {
    const roomId = await kim.group(5);
    const { environment: own, socket } = await open();
    let refusals = 2;
    const refusing: Client = {
      ...socket,
      subscribe: (payload, sink) => {
        refusals -= 1;
        if (refusals < 0) return socket.subscribe(payload, sink);
        sink.error([{ message: 'not now', extensions: { code: 'RATE_LIMITED', retryAfterMs: 1 } }]);
        return () => undefined;
      },
    };
    const environment = createRelayEnvironment(endpoint(), refusing, async () => kim.token);
    const ended: string[] = [];
    watch(own, roomId);
    onTestFinished(watchPresence(environment, [], (code) => ended.push(code)));
    onTestFinished(watchTyping(environment, roomId, (code) => ended.push(code)));
    const typing = () => {
      const found: (string | undefined)[] = [];
      commitLocalUpdate(environment, (store) => {
        found.push(...(store.get(roomId)?.getLinkedRecords('typing') ?? []).map((user) => user?.getDataID()));
      });
      return found;
    };
    await waitFor(() => refusals < 0, { what: 'the next attempt' });
    const { environment: other } = await open({ freshToken: async () => lee.token });
    showTyping(other, roomId, true);
    await waitFor(() => typing()[0] === '5', { what: 'the signal' });
    expect(ended).toEqual([]);
  });

  it('has who types and who is there where the room and its people are', async () => {
    const roomId = await kim.group(5, 6);
    const { environment } = await open();
    watch(environment, roomId);
    await isOpen(environment, roomId);
    const refused: string[] = [];
    const onEnd = (code: string) => refused.push(code);
    onTestFinished(watchTyping(environment, roomId, onEnd));
    onTestFinished(watchPresence(environment, ['5', '6'], onEnd));
    const typing = () => read(environment, roomId).room?.typing.map(({ id }) => id);
    const status = (userId: string) => {
      let found: unknown;
      commitLocalUpdate(environment, (store) => {
        found = store.get(userId)?.getLinkedRecord('presence')?.getValue('status');
      });
      return found;
    };
    await waitFor(() => status('6') === 'OFFLINE', { what: 'the first state' });
    await lee.ws(setTyping, { input: { roomId, isTyping: true } });
    await waitFor(() => typing()?.[0] === '5' && status('5') === 'ONLINE', { what: 'both' });
    expect(status('6')).toBe('OFFLINE');
    await lee.ws(setTyping, { input: { roomId, isTyping: false } });
    await waitFor(() => typing()?.length === 0, { what: 'the end' });

    onTestFinished(watchTyping(environment, await lee.group(6), onEnd));
    await waitFor(() => refused.length > 0, { what: 'the refusal' });
    expect(refused).toEqual(['NOT_FOUND']);
  });

  it('takes ids in upper case', async () => {
    const roomId = await kim.group(5);
    const { environment } = await open();
    watch(environment, roomId.toUpperCase());
    await isOpen(environment, roomId);
    await lee.send(roomId, '안녕하세요');
    await isOpen(environment, roomId, 2);
    const message = own(roomId.toUpperCase());
    await sendMessage(environment, { ...message, id: message.id.toUpperCase() });
    await lee.send(roomId, '네');
    await waitFor(() => texts(environment, roomId).at(-1) === '네', { what: 'the next message' });
    expect(texts(environment, roomId).slice(1)).toEqual(['안녕하세요', '여기요', '네']);
  });

  it('shows a picture at once, and its thumbnail when it is ready', async () => {
    const roomId = await kim.group(5);
    const { environment } = await open();
    watch(environment, roomId);
    await isOpen(environment, roomId);
    const [instance] = world.instances;
    if (instance === undefined) throw new Error('No instance');
    const { id, name, ...file } = await upload(instance, kim, roomId, await makePhoto());
    const { status, kind, byteSize, url, thumbnailUrl, width, height, thumbHash } = file;
    const attachment = { id, name, status, kind, byteSize, url, thumbnailUrl, width, height, thumbHash };
    const sending = sendMessage(environment, { ...own(roomId, ''), attachments: [attachment] });
    expect(shown(environment, roomId).at(-1)).toMatchObject({
      type: 'IMAGE',
      content: '',
      attachments: [{ id, name }],
    });
    await sending;
    const picture = () => shown(environment, roomId).at(-1)?.attachments[0];
    await waitFor(() => picture()?.status === 'READY', { what: 'the thumbnails' });
    expect(picture()).toMatchObject({ width: 480, height: 640, thumbnailUrl: expect.any(String) });
  });

  it('has no hole when a room is opened again after more than a page', async () => {
    const roomId = await kim.group(5);
    const { environment } = await open();
    const { stop } = watch(environment, roomId);
    await isOpen(environment, roomId);
    stop();
    for (let number = 1; number <= 60; number += 1) await lee.send(roomId, `${number}`);
    watch(environment, roomId);
    await waitFor(() => texts(environment, roomId).at(-1) === '60', { what: 'the newest page' });
    expect(seqs(environment, roomId)).toEqual(upTo(50, 12));
    await loadOlder(environment, roomId, read(environment, roomId).pageInfo.startCursor ?? '');
    expect(seqs(environment, roomId)).toEqual(upTo(61));
  });

  it('goes on with another token when one is refused, over HTTP and the socket', async () => {
    const roomId = await kim.group(5);
    const expired = await forgeToken({ exp: nowSeconds() - 120 });
    const refused: (string | undefined)[] = [];
    let token = expired;
    const { environment, proxy } = await open({
      freshToken: async (bad) => {
        refused.push(bad);
        if (bad === token) token = kim.token;
        return token;
      },
    });
    watch(environment, roomId);
    await isOpen(environment, roomId);
    // The socket is asked with the refused one as well.
    token = expired;
    await proxy.cut();
    await proxy.restore();
    await lee.send(roomId, '안녕하세요');
    await waitFor(() => texts(environment, roomId).at(-1) === '안녕하세요', { what: 'the event' });
    expect(refused.filter((bad) => bad === expired)).toHaveLength(2);
  });

  it('goes on with another token when one expires while it is connected', async () => {
    const roomId = await kim.group(5);
    const short = await forgeToken({ exp: nowSeconds() + 10 });
    let token = short;
    const { environment, socket } = await open({
      freshToken: async (bad) => {
        if (bad === token) token = kim.token;
        return token;
      },
    });
    const log = logOf(socket);
    const { ended } = watch(environment, roomId);
    await isOpen(environment, roomId);
    await waitFor(() => log.length === 3, { what: 'the next connection' });
    expect(log).toEqual(['connected', 4403, 'connected']);
    await lee.send(roomId, '안녕하세요');
    await waitFor(() => texts(environment, roomId).at(-1) === '안녕하세요', { what: 'the event' });
    expect(seqs(environment, roomId)).toEqual([1, 2]);
    expect(ended).toEqual([]);
  });

  it('asks again for a room after what is temporary', async () => {
    const roomId = await kim.group(5);
    const answers = [undefined, refusal('UNAVAILABLE', 1), refusal('RATE_LIMITED', 1), refusal('INTERNAL')];
    const http = await startHttpProxy(endpoint(), async (_body, execute) =>
      answers.length > 0 ? answers.shift() : execute(),
    );
    const { environment } = await open({ http });
    const { ended } = watch(environment, roomId);
    await isOpen(environment, roomId);
    expect(ended).toEqual([]);
  });

  it('watches a room once a connection is free, if the user had too many', async () => {
    const roomId = await kim.group(5);
    const full = await world.start({ MAX_SOCKETS_PER_USER: '1' });
    const first = await world.client(4, world.instances.indexOf(full));
    await first.roomEvents({ roomId }).count(1);
    const url = `${full.url}/graphql`;
    const socket = createResumingSocket(url, async () => kim.token, { webSocketImpl: WebSocket });
    onTestFinished(() => socket.dispose());
    const log = logOf(socket);
    const environment = createRelayEnvironment(url, socket, async () => kim.token);
    const { ended } = watch(environment, roomId);
    await waitFor(() => log.includes(4429), { what: 'the refusal' });
    await first.close();
    await lee.send(roomId, '안녕하세요');
    await waitFor(() => texts(environment, roomId).at(-1) === '안녕하세요', { what: 'the message' });
    await lee.send(roomId, '네');
    await waitFor(() => texts(environment, roomId).at(-1) === '네', { what: 'the event' });
    expect(ended).toEqual([]);
  });

  it('says why a room ends', async () => {
    const { environment } = await open();
    const left = await lee.group(4);
    const rooms = [await lee.group(6), 'no id of a room', left];
    const endings = rooms.map((room) => watch(environment, room).ended);
    await waitFor(() => endings[0]?.length === 1 && endings[1]?.length === 1, { what: 'the refusals' });
    await isOpen(environment, left);
    await lee.send(left, '안녕히');
    await waitFor(() => texts(environment, left).at(-1) === '안녕히', { what: 'an event' });
    await lee.http(removeMember, { input: { roomId: left, userId: '4' } });
    await waitFor(() => endings[2]?.length === 1, { what: 'the end of the membership' });
    expect(endings).toEqual([['NOT_FOUND'], ['BAD_USER_INPUT'], ['FORBIDDEN']]);
    expect(await sendMessage(environment, own(left)).catch(codeOf)).toBe('NOT_FOUND');
  });

  it('sends the ids of its documents to a server that executes nothing else', async () => {
    const documents = JSON.parse(readFileSync(manifest, 'utf8')) as Record<string, string>;
    for (const [id, text] of Object.entries(documents)) {
      expect(createHash('sha256').update(text).digest('hex')).toBe(id);
    }
    const strict = await world.start({
      TRUSTED_DOCUMENTS: manifest,
      TRUSTED_DOCUMENTS_ONLY: 'true',
      GRAPHIQL: '',
    });
    const sent: string[] = [];
    // As the compiler leaves the documents without include_query_text.
    const http = await startHttpProxy(`${strict.url}/graphql`, (body, execute) => {
      const { query, ...rest } = JSON.parse(body);
      sent.push(rest.documentId);
      return execute(JSON.stringify(rest));
    });
    const proxy = await startTcpProxy(strict.url);
    const socket = createResumingSocket(new URL('/graphql', proxy.url).href, async () => kim.token, {
      webSocketImpl: WebSocket,
      retryWait: () => new Promise((resolve) => setTimeout(resolve, 20)),
    });
    onTestFinished(async () => {
      await socket.dispose();
      await proxy.stop();
    });
    const roomId = await kim.group(5);
    const environment = createRelayEnvironment(http, withoutTexts(socket), async () => kim.token);
    watch(environment, roomId);
    await isOpen(environment, roomId);
    await lee.send(roomId, '1');
    await waitFor(() => texts(environment, roomId).at(-1) === '1', { what: 'the event' });
    await proxy.cut();
    await lee.send(roomId, '2');
    await proxy.restore();
    await waitFor(() => texts(environment, roomId).at(-1) === '2', { what: 'what came meanwhile' });
    await sendMessage(environment, own(roomId));
    await loadOlder(environment, roomId, read(environment, roomId).pageInfo.startCursor ?? '');
    expect(seqs(environment, roomId)).toEqual([1, 2, 3, 4]);
    expect(sent.map((id) => /\w+ (\w+)/.exec(documents[id] ?? '')?.[1])).toEqual([
      'roomQuery',
      'roomStateQuery',
      'roomStateQuery',
      'messagesSendMutation',
      'roomOlderQuery',
    ]);
  });

  it('reads a room again whose log has gone back', async () => {
    const roomId = await kim.group(5);
    for (let number = 1; number <= 5; number += 1) await lee.send(roomId, `${number}`);
    const { environment } = await open();
    const { ended } = watch(environment, roomId);
    await isOpen(environment, roomId, 6);
    await waitFor(
      async () => {
        const { head, publishedSeq } = await readStoredLog(world.database, roomId);
        return head === publishedSeq;
      },
      { what: 'the published mark' },
    );
    await world.database.query('DELETE FROM chat_messages WHERE room_id = $1 AND seq > 3', [roomId]);
    await world.database.query('UPDATE chat_rooms SET seq = 3, published_seq = 3 WHERE id = $1', [roomId]);
    await isOpen(environment, roomId, 3);
    await lee.send(roomId, 'new');
    await waitFor(() => texts(environment, roomId).at(-1) === 'new', { what: 'the next message' });
    expect(seqs(environment, roomId)).toEqual([1, 2, 3, 4]);
    expect(ended).toEqual([]);
  });
});

/** The connections of a socket and the codes of their ends, in order. */
function logOf(socket: Client): (string | number)[] {
  const log: (string | number)[] = [];
  socket.on('connected', () => log.push('connected'));
  socket.on('closed', (event) => log.push((event as { readonly code: number }).code));
  return log;
}

/** A socket that sends only the ids of documents, as the compiler leaves them without `include_query_text`. */
const withoutTexts = (socket: Client): Client => ({
  ...socket,
  subscribe: (payload, sink) => socket.subscribe({ ...payload, query: '' }, sink),
});
