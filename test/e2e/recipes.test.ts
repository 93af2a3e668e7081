import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Attachment } from '../../clients/attachments.js';
import { names, type TestClient } from '../support/client.js';
import { type Announced, makePhoto, put, sha256 } from '../support/files.js';
import { type Fault, refused, startAnswerProxy } from '../support/http-proxy.js';
import { deleteMessage, editMessage, markRead, removeMember, setTyping } from '../support/operations.js';
import { type List, openApollo, openUrql, type Page, type Recipe, texts } from '../support/recipe.js';
import { describeWithNats } from '../support/requirements.js';
import { openLine, readOperation } from '../support/store-line.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const pass: Fault = (execute) => execute();

describeWithNats('a recipe', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fairway-recipes-'));
  const world = useWorld({ instances: 2, env: { STORAGE_URL: `file:${folder}` } });
  let kim: TestClient;
  let lee: TestClient;

  beforeAll(async () => {
    [kim, lee] = [await world.client(4), await world.client(5, 1)];
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }));

  const warnings = [vi.spyOn(console, 'warn'), vi.spyOn(console, 'error')];
  afterAll(() => {
    for (const spy of warnings) spy.mockRestore();
  });

  const serverUrl = () => world.instances[0]?.url ?? '';
  const draft = (roomId: string, content: string) => ({
    ...{ id: randomUUID() as string, roomId, content },
    sender: { id: '4', name: names[4] ?? '' },
  });

  describe.each([
    ['Apollo Client', openApollo],
    ['urql', openUrql],
  ])('of %s', (_name, openRecipe) => {
    /** @param wrap - makes another socket of that of the recipe */
    async function open({ client = kim, url = undefined as string | undefined, wrap = (it: Client) => it } = {}) {
      const freshToken = async () => client.token;
      const line = await openLine(serverUrl(), freshToken);
      const recipe = openRecipe(url ?? line.url, wrap(line.socket), freshToken);
      onTestFinished(() => recipe.stop());
      return { ...line, recipe };
    }

    function watch(recipe: Recipe, roomId: string, onReady?: () => void): { ended: string[]; stop: () => void } {
      const ended: string[] = [];
      const stop = recipe.watchRoom(roomId, (code) => ended.push(code), onReady);
      onTestFinished(stop);
      return { ended, stop };
    }

    const shown = (recipe: Recipe, roomId: string) =>
      (recipe.read(texts.RoomPage, { roomId, last: 50 }) as Page | undefined)?.room?.messages.edges.map(
        ({ node }) => node,
      ) ?? [];
    const contents = (recipe: Recipe, roomId: string) => shown(recipe, roomId).map(({ content }) => content);
    const contentOf = (recipe: Recipe, roomId: string, messageId: string) =>
      shown(recipe, roomId).find(({ id }) => id === messageId)?.content;
    const isOpen = (recipe: Recipe, roomId: string, length = 1) =>
      waitFor(() => shown(recipe, roomId).length === length, { what: 'the room' });
    /** Everything that happened in the room before is in the store. */
    const catchUp = async (recipe: Recipe, roomId: string) => {
      const { message } = await lee.send(roomId, '표시');
      await waitFor(() => shown(recipe, roomId).some(({ id }) => id === message.id), { what: 'the events' });
    };

    it('does not undo an edit or a deletion by an older page that comes late', async () => {
      const roomId = await kim.group(5);
      const sent: string[] = [];
      for (let number = 1; number <= 60; number += 1) sent.push((await lee.send(roomId, `${number}`)).message.id);
      const [edited = '', deleted = ''] = sent;
      const proxy = await startAnswerProxy(serverUrl());
      const { recipe } = await open({ url: proxy.url });
      watch(recipe, roomId);
      await isOpen(recipe, roomId, 50);
      await catchUp(recipe, roomId);
      const held = proxy.hold('RoomPage');
      const older = recipe.loadOlder(roomId);
      await held.answered;
      await lee.http(editMessage, { input: { messageId: edited, content: '고친 글' } });
      await lee.http(deleteMessage, { input: { messageId: deleted } });
      await catchUp(recipe, roomId);
      held.release();
      await older;
      expect(contents(recipe, roomId).slice(1, 4)).toEqual(['고친 글', null, '3']);
      expect(shown(recipe, roomId)).toHaveLength(63);
    });

    it('does not undo an edit by the answer to its send that comes late', async () => {
      const roomId = await kim.group(5);
      const proxy = await startAnswerProxy(serverUrl());
      const { recipe } = await open({ url: proxy.url });
      watch(recipe, roomId);
      await isOpen(recipe, roomId);
      const held = proxy.hold('SendMessage');
      const message = draft(roomId, '글');
      const sending = recipe.sendMessage(message);
      await held.answered;
      await kim.http(editMessage, { input: { messageId: message.id, content: '고친 글' } });
      await catchUp(recipe, roomId);
      held.release();
      await sending;
      expect(contents(recipe, roomId).slice(1)).toEqual(['고친 글', '표시']);
    });

    it('does not undo an edit by the answer to its send that waits for another', async () => {
      const roomId = await kim.group(5);
      let release = () => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      const late: Fault = async (execute) => {
        const answer = await execute();
        await released;
        return answer;
      };
      const proxy = await startAnswerProxy(serverUrl(), pass, late);
      const { recipe } = await open({ url: proxy.url });
      watch(recipe, roomId);
      await isOpen(recipe, roomId);
      const [first, second] = [draft(roomId, '첫 글'), draft(roomId, '둘째 글')];
      const sending = [recipe.sendMessage(first), recipe.sendMessage(second)];
      // The second one is sent after the answer to the first.
      await waitFor(() => proxy.sent.length === 2, { what: 'the second message' });
      await kim.http(editMessage, { input: { messageId: first.id, content: '고친 글' } });
      await catchUp(recipe, roomId);
      release();
      await Promise.all(sending);
      expect(contentOf(recipe, roomId, first.id)).toBe('고친 글');
      expect(contentOf(recipe, roomId, second.id)).toBe('둘째 글');
    });

    it('does not undo what the inbox has brought by a list that comes late', async () => {
      const roomId = await kim.group(5);
      const proxy = await startAnswerProxy(serverUrl());
      const { recipe } = await open({ url: proxy.url });
      const variables = { first: 50 };
      onTestFinished(recipe.watchRooms(() => undefined));
      const room = () =>
        (recipe.read(texts.RoomList, variables) as List | undefined)?.rooms.edges.find(({ node }) => node.id === roomId)
          ?.node;
      await waitFor(() => room() !== undefined, { what: 'the list' });
      const held = proxy.hold('RoomList');
      const late = recipe.query(texts.RoomList, variables);
      await held.answered;
      await lee.send(roomId, '새 글');
      await waitFor(() => room()?.lastMessage.content === '새 글', { what: 'the change' });
      held.release();
      await late;
      expect(room()).toMatchObject({ lastMessage: { content: '새 글' }, unreadCount: 1 });
    });

    it('lists no room that the viewer leaves while the list is on its way, and the one that comes', async () => {
      const left = await lee.group(4);
      const proxy = await startAnswerProxy(serverUrl());
      const { recipe } = await open({ url: proxy.url });
      const held = proxy.hold('RoomList');
      onTestFinished(recipe.watchRooms(() => undefined));
      await held.answered;
      await lee.http(removeMember, { input: { roomId: left, userId: '4' } });
      const come = await lee.group(4);
      const changes: unknown[] = [];
      // Another subscription to the same: what it has seen, the recipe has seen.
      onTestFinished(
        recipe.watchLive(
          readOperation('InboxEvents').replace('InboxEvents', 'Others'),
          {},
          () => undefined,
          (data) => changes.push(data),
        ),
      );
      await waitFor(() => changes.length > 0, { what: 'the inbox' });
      await lee.send(come, '네');
      await waitFor(() => changes.length > 1, { what: 'the change' });
      held.release();
      const ids = () =>
        (recipe.read(texts.RoomList, { first: 50 }) as List | undefined)?.rooms.edges.map(({ node }) => node.id) ?? [];
      await waitFor(() => ids().includes(come) && !ids().includes(left), { what: 'the list' });
    });

    it('waits as long as the server asks when the first page of a room is refused', async () => {
      const roomId = await kim.group(5);
      const proxy = await startAnswerProxy(serverUrl());
      const at: number[] = [];
      const noted = (fault: Fault): Fault => {
        return (execute) => {
          at.push(performance.now());
          return fault(execute);
        };
      };
      const faults = [refused('RATE_LIMITED', 1_000), refused('UNAVAILABLE', 1_000), pass];
      proxy.fail('RoomPage', ...faults.map(noted));
      const { recipe } = await open({ url: proxy.url });
      const { ended } = watch(recipe, roomId);
      await isOpen(recipe, roomId);
      const [first = 0, second = 0, third = 0] = at;
      expect(Math.min(second - first, third - second)).toBeGreaterThanOrEqual(990);
      expect(ended).toEqual([]);
    });

    it('takes ids in upper case', async () => {
      const roomId = await kim.group(5);
      const { recipe } = await open();
      watch(recipe, roomId.toUpperCase());
      await isOpen(recipe, roomId);
      await lee.send(roomId, '안녕하세요');
      await isOpen(recipe, roomId, 2);
      const message = draft(roomId.toUpperCase(), '네');
      const sending = recipe.sendMessage({ ...message, id: message.id.toUpperCase() });
      expect(contents(recipe, roomId).slice(1)).toEqual(['안녕하세요', '네']);
      await sending;
      await catchUp(recipe, roomId);
      expect(contents(recipe, roomId).slice(1)).toEqual(['안녕하세요', '네', '표시']);
      expect(contentOf(recipe, roomId, message.id)).toBe('네');
    });

    it('says once why a room ends, however often it is said', async () => {
      const roomId = await kim.group(5);
      const errors = [{ message: 'no', extensions: { code: 'FORBIDDEN' } }];
      const wrap = (socket: Client): Client => ({
        ...socket,
        subscribe: (_payload, sink) => {
          sink.next({ data: null, errors } as never);
          sink.next({ data: null, errors } as never);
          sink.error(errors);
          return () => undefined;
        },
      });
      const { recipe } = await open({ wrap });
      const { ended } = watch(recipe, roomId);
      await waitFor(() => ended.length > 0, { what: 'the end' });
      // Time for another end.
      await recipe.query(texts.RoomPage, { roomId, last: 50 });
      expect(ended).toEqual(['FORBIDDEN']);
    });

    it.each([
      ['Typing', (roomId: string) => ({ roomId })],
      ['Presence', () => ({ userIds: ['5'] })],
      ['InboxEvents', () => ({})],
    ])(
      'subscribes to %s again, as late as the server asks, and says why it ends otherwise',
      async (name, variables) => {
        const roomId = await kim.group(5);
        const at: number[] = [];
        const codes = ['RATE_LIMITED', 'UNAVAILABLE', undefined, 'FORBIDDEN'];
        let drop = () => {};
        const wrap = (socket: Client): Client => ({
          ...socket,
          subscribe: (payload, sink) => {
            at.push(performance.now());
            const code = codes.shift();
            if (code !== undefined) {
              sink.error([{ message: code, extensions: { code, retryAfterMs: 1_000 } }] as never);
              return () => undefined;
            }
            const stop = socket.subscribe(payload, sink);
            const busy = [{ message: 'not now', extensions: { code: 'UNAVAILABLE', retryAfterMs: 10 } }];
            drop = () => sink.next({ data: null, errors: busy } as never);
            return stop;
          },
        });
        const { recipe } = await open({ wrap });
        const ended: string[] = [];
        const results: unknown[] = [];
        onTestFinished(
          recipe.watchLive(
            readOperation(name),
            variables(roomId),
            (code) => ended.push(code),
            (data) => results.push(data),
          ),
        );
        await waitFor(() => results.length > 0, { what: 'the state' });
        const [first = 0, second = 0, third = 0] = at;
        expect(Math.min(second - first, third - second)).toBeGreaterThanOrEqual(990);
        expect(ended).toEqual([]);
        drop();
        await waitFor(() => ended.length > 0, { what: 'the end' });
        expect([ended, codes]).toEqual([['FORBIDDEN'], []]);
      },
    );

    it('ends Typing when the viewer has left the room', async () => {
      const roomId = await lee.group(4);
      const { recipe } = await open();
      const ended: string[] = [];
      const results: unknown[] = [];
      const onEnd = (code: string) => ended.push(code);
      onTestFinished(recipe.watchLive(readOperation('Typing'), { roomId }, onEnd, (data) => results.push(data)));
      await waitFor(() => results.length > 0, { what: 'the state' });
      await lee.http(removeMember, { input: { roomId, userId: '4' } });
      await waitFor(() => ended.length > 0, { what: 'the end' });
      expect(ended).toEqual(['FORBIDDEN']);
    });

    it('has the presence of users where queries have it, with or without the user', async () => {
      const roomId = await kim.group(6);
      const { recipe } = await open();
      const query = 'query People { users(ids: ["6"]) { id presence { status lastSeenAt } } }';
      const status = () =>
        (recipe.read(query, {}) as { users: { presence: { status: string } }[] } | undefined)?.users[0]?.presence
          .status;
      await recipe.query(query, {});
      expect(status()).toBe('OFFLINE');
      onTestFinished(recipe.watchLive(readOperation('Presence'), { userIds: ['6'] }, () => undefined));
      const park = await world.client(6);
      await park.ws(setTyping, { input: { roomId, isTyping: true } });
      await waitFor(() => status() === 'ONLINE', { what: 'the presence' });
      await recipe.query(query, {});
      expect(status()).toBe('ONLINE');
      await park.close();
      await waitFor(() => status() === 'OFFLINE', { what: 'the next presence', timeoutMs: 30_000 });
    });

    it('has the read marks again after a break', async () => {
      const roomId = await kim.group(5);
      const { message } = await kim.send(roomId, '읽어 주세요');
      const { recipe, proxy } = await open();
      const members = [readOperation('RoomMembers'), { roomId, first: 50 }] as const;
      interface Members {
        readonly room: {
          readonly memberPage: {
            readonly edges: readonly { readonly node: { lastReadSeq: number; user: { id: string } } }[];
          };
        };
      }
      watch(recipe, roomId, () => {
        recipe.query(...members).catch(() => undefined);
      });
      const mark = () =>
        (recipe.read(...members) as Members | undefined)?.room.memberPage.edges.find(({ node }) => node.user.id === '5')
          ?.node.lastReadSeq;
      await waitFor(() => mark() !== undefined, { what: 'the marks' });
      expect(mark()).toBeLessThan(message.seq);
      await proxy.cut();
      await lee.http(markRead, { input: { roomId, messageId: message.id } });
      await proxy.restore();
      await waitFor(() => mark() === message.seq, { what: 'the mark' });
    });

    it('asks for nothing and shows nothing more after the viewer has signed out, and another viewer begins anew', async () => {
      const roomId = await kim.group(5);
      const requests: string[] = [];
      const proxy = await startAnswerProxy(serverUrl());
      const { recipe, socket } = await open({ url: proxy.url });
      const ended: string[] = [];
      const onEnd = (code: string) => ended.push(code);
      const codes: unknown[] = [];
      socket.on('closed', (event) => codes.push((event as { readonly code?: number }).code));
      socket.on('connecting', () => requests.push('a connection'));
      proxy.fail('RoomPage', pass, refused('RATE_LIMITED', 300));
      const stops = [
        recipe.watchRoom(roomId, onEnd),
        recipe.watchRooms(onEnd),
        recipe.watchLive(readOperation('Typing'), { roomId }, onEnd),
      ];
      await isOpen(recipe, roomId);
      await catchUp(recipe, roomId);
      // One that waits for its next attempt.
      const held = proxy.hold('RoomPage');
      stops.push(recipe.watchRoom(await kim.group(5), onEnd));
      await held.answered;
      held.release();
      await new Promise((resolve) => setTimeout(resolve, 100));
      proxy.fail('RoomPage', async () => void requests.push('a page'));
      requests.length = 0;
      for (const stop of stops) stop();
      // The socket closes when the last subscription is gone.
      await waitFor(() => codes.length > 0, { what: 'the close' });
      recipe.stop();
      await socket.dispose();
      await new Promise((resolve) => setTimeout(resolve, 400));

      // Another socket and another client, and so another store.
      const { recipe: next } = await open({ client: lee });
      expect(shown(next, roomId)).toEqual([]);
      watch(next, roomId);
      await isOpen(next, roomId, 2);
      await catchUp(next, roomId);
      expect(shown(recipe, roomId)).toHaveLength(2);
      expect([codes, requests, ended]).toEqual([[1000], [], []]);
    });

    it('shows a picture at once, and its thumbnail when it is ready', async () => {
      const roomId = await kim.group(5);
      const proxy = await startAnswerProxy(serverUrl());
      const { recipe } = await open({ url: proxy.url });
      const { recipe: other } = await open({ client: lee });
      for (const it of [recipe, other]) watch(it, roomId);
      for (const it of [recipe, other]) await isOpen(it, roomId);

      const { name, type, bytes } = await makePhoto();
      const id: string = randomUUID();
      const announced = { id, roomId, name, contentType: type, byteSize: bytes.length, sha256: sha256(bytes) };
      const { createUpload } = (await recipe.mutate(readOperation('CreateUpload'), { input: announced })) as {
        createUpload: Announced;
      };
      const [instance] = world.instances;
      if (instance === undefined) throw new Error('No instance');
      expect((await put(instance, createUpload, bytes)).ok).toBe(true);
      const { completeUpload } = (await recipe.mutate(readOperation('CompleteUpload'), { input: { id } })) as {
        completeUpload: { attachment: Attachment };
      };
      const message = { ...draft(roomId, ''), attachments: [completeUpload.attachment] };
      const sending = recipe.sendMessage(message);
      expect(shown(recipe, roomId).at(-1)).toMatchObject({ type: 'IMAGE', content: '', attachments: [{ id, name }] });
      await sending;
      const ready = { status: 'READY', kind: 'IMAGE', name, width: 480, height: 640 };
      for (const it of [recipe, other]) {
        const file = () => shown(it, roomId).at(-1)?.attachments[0];
        await waitFor(() => file()?.status === 'READY', { what: 'the thumbnails' });
        expect(file()).toMatchObject({ ...ready, url: expect.any(String), thumbnailUrl: expect.any(String) });
      }
      expect(shown(other, roomId).at(-1)).toEqual(shown(recipe, roomId).at(-1));

      // An answer from before that comes late.
      proxy.fail('RoomPage', async (execute) => {
        const text = await (await execute()).text();
        expect(text).toContain('"READY"');
        return text.replace('"READY"', '"PROCESSING"').replace(/"width":\d+/, '"width":null');
      });
      await recipe.query(texts.RoomPage, { roomId, last: 50 });
      expect(shown(recipe, roomId).at(-1)?.attachments[0]).toMatchObject(ready);

      await recipe.mutate(readOperation('DeleteMessage'), { input: { messageId: message.id } });
      for (const it of [recipe, other]) {
        await waitFor(() => shown(it, roomId).at(-1)?.attachments.length === 0, { what: 'the deletion' });
      }
    });
  });

  it('has given no library a reason for a warning', () => {
    expect(warnings.flatMap(({ mock }) => mock.calls)).toEqual([]);
  });
});
