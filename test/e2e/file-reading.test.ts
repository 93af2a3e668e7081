import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { Signer } from '../../src/files/signer.js';
import type { TestClient } from '../support/client.js';
import {
  type Attachment,
  type Bytes,
  listFiles,
  makePhoto,
  makeText,
  read,
  upload,
  whenSettled,
} from '../support/files.js';
import type { Instance } from '../support/instance.js';
import { deleteMessage, fileAccess, fileMessages, removeMember, sendFiles } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { forgeToken, nowSeconds } from '../support/tokens.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const text = '0123456789';

describeWithNats('reading a file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fairway-reading-'));
  const world = useWorld({
    env: { STORAGE_URL: `file:${folder}`, FILES_PER_MINUTE: '100000', ATTACHMENT_RETENTION_DAYS: '30' },
  });
  let a: Instance;
  let b: Instance;
  let alice: TestClient;
  let bob: TestClient;
  let mallory: TestClient;
  let roomId: string;
  beforeAll(async () => {
    [a, b] = world.instances as [Instance, Instance];
    [alice, bob, mallory] = [await world.client(4, 0), await world.client(5, 1), await world.client(6, 1)];
    roomId = await alice.group(5);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }));

  /** Sends it, and resolves with it and its message. */
  async function share(file: Bytes, room = roomId): Promise<Attachment & { readonly messageId: string }> {
    const uploaded = await upload(a, alice, room, file);
    const input = { id: randomUUID(), roomId: room, attachmentIds: [uploaded.id] };
    const { message } = (await alice.http(sendFiles, { input })).sendMessage;
    return { ...uploaded, messageId: message.id };
  }

  const noTokens = (url: string | null, headers: Record<string, string> = {}, query = '') =>
    fetch(new URL((url ?? '') + query, b.url), { headers });

  it('gives the range that is asked for, or says that there is none', async () => {
    const { url } = await share(makeText(text));
    const ask = async (headers: Record<string, string>) => {
      const response = await read(b, bob, url, headers);
      return [response.status, response.headers.get('content-range'), await response.text()];
    };
    const whole = [200, null, text];
    expect(await ask({ range: 'bytes=0-0' })).toEqual([206, 'bytes 0-0/10', '0']);
    expect(await ask({ range: 'bytes=3-5' })).toEqual([206, 'bytes 3-5/10', '345']);
    expect(await ask({ range: 'bytes=8-' })).toEqual([206, 'bytes 8-9/10', '89']);
    expect(await ask({ range: 'bytes=8-99999999999999999999' })).toEqual([206, 'bytes 8-9/10', '89']);
    expect(await ask({ range: 'bytes=-4' })).toEqual([206, 'bytes 6-9/10', '6789']);
    expect(await ask({ range: 'bytes=-40' })).toEqual([206, 'bytes 0-9/10', text]);
    for (const range of ['bytes=10-', 'bytes=-0', `bytes=${'9'.repeat(400)}-`]) {
      expect((await ask({ range })).slice(0, 2), range).toEqual([416, 'bytes */10']);
    }
    // What is not understood, and several ranges, get the whole file (RFC 9110, 14.2).
    for (const range of ['bytes=0-1,4-5', 'bytes=-', 'bytes=x-y', 'lines=1-2', 'bytes=5-2x']) {
      expect(await ask({ range }), range).toEqual(whole);
    }
    const etag = (await read(a, bob, url)).headers.get('etag') ?? '';
    expect(await ask({ range: 'bytes=3-5', 'if-range': etag })).toEqual([206, 'bytes 3-5/10', '345']);
    expect(await ask({ range: 'bytes=3-5', 'if-range': '"other"' })).toEqual(whole);
    expect(await ask({ range: 'bytes=3-5', 'if-range': new Date().toUTCString() })).toEqual(whole);
  });

  it('costs nothing again, and nothing for the head alone', async () => {
    const { url } = await share(makeText(text));
    const response = await read(a, bob, url);
    const etag = response.headers.get('etag') ?? '';
    expect(response.headers.get('cache-control')).toMatch(/^private, /);
    expect(response.headers.get('vary')).toMatch(/authorization.*cookie.*origin/);
    for (const given of ['*', etag, `"x", ${etag}`, `W/${etag}`]) {
      const again = await read(b, bob, url, { 'if-none-match': given });
      expect([again.status, await again.text(), again.headers.get('etag')]).toEqual([304, '', etag]);
    }
    expect((await read(b, bob, url, { 'if-none-match': '"other"' })).status).toBe(200);
    const headers = { authorization: `Bearer ${bob.token}` };
    const head = await fetch(new URL(url ?? '', b.url), { method: 'HEAD', headers });
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '10', '']);
    const posted = await fetch(new URL(url ?? '', b.url), { method: 'POST', headers });
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, expect.stringContaining('GET')]);
  });

  it('goes to a hundred readers of one user at once, whose others wait, and to everybody else', async () => {
    const { url } = await share(makeText(text.repeat(1_500_000)));
    const open: IncomingMessage[] = [];
    onTestFinished(() => {
      for (const response of open) response.destroy();
    });
    const begin = async () => {
      const asked = get(new URL(url ?? '', b.url), {
        agent: false,
        headers: { authorization: `Bearer ${bob.token}` },
      });
      const [response] = (await once(asked, 'response')) as [IncomingMessage];
      open.push(response);
      return response.statusCode;
    };
    // Nobody reads what comes.
    expect(new Set(await Promise.all(Array.from({ length: 100 }, begin)))).toEqual(new Set([200]));
    expect([await begin(), open.at(-1)?.headers['retry-after']]).toEqual([429, '1']);
    expect((await read(b, alice, url, { range: 'bytes=0-0' })).status).toBe(206);
    for (const response of open.splice(0)) response.destroy();
    await waitFor(async () => (await begin()) === 200, { what: 'a free place' });
  });

  it('saves it under its name', async () => {
    const names: Record<string, string> = {
      [`${'한글'.normalize('NFD')} 100%.txt`]: `attachment; filename="__ 100_.txt"; filename*=UTF-8''%ED%95%9C%EA%B8%80%20100%25.txt`,
      [`it's "a\\b" (1)*.txt`]: `attachment; filename="b_ (1)*.txt"; filename*=UTF-8''b%22%20%281%29%2a.txt`,
      'a";\r\nset-cookie: x=1.txt': `attachment; filename="a_; set-cookie: x=1.txt"; filename*=UTF-8''a%22%3B%20set-cookie%3A%20x%3D1.txt`,
    };
    for (const [name, disposition] of Object.entries(names)) {
      const { url } = await share({ ...makeText(), name });
      const { headers } = await read(b, bob, url);
      expect(headers.get('content-disposition')).toBe(disposition);
      expect(headers.get('set-cookie')).toBeNull();
    }
  });

  it('is for those who prove who they are: by a token, one for files, or the cookie that has it', async () => {
    const { url } = await share(makeText(text));
    const [{ key }] = (await world.database.query<{ key: Buffer }>(
      `SELECT key FROM chat_keys WHERE name = 'files'`,
    )) as [{ key: Buffer }];
    const sign = (userId: number, now: number) =>
      new Signer(
        () => key,
        () => now,
      ).signAccess(userId).token;
    const { token, expiresAt } = (await bob.http(fileAccess, {})).fileAccess;
    expect(Date.parse(expiresAt)).toBeGreaterThan(Date.now());
    expect((await noTokens(url, {}, `?access=${token}`)).status).toBe(200);
    const [subject = '', signature = ''] = [
      token.slice(0, token.lastIndexOf('.')),
      token.slice(token.lastIndexOf('.')),
    ];
    const forged = [
      `${subject}.${'A'.repeat(43)}`,
      `4${subject.slice(subject.indexOf('.'))}${signature}`,
      sign(5, Date.now() - 3 * 3_600_000),
      sign(6, Date.now()),
      'x',
      '',
    ];
    for (const access of forged) expect((await noTokens(url, {}, `?access=${access}`)).status, access).toBe(404);
    expect((await noTokens(url)).status).toBe(404);
    expect((await read(b, { token: await forgeToken({ sub: '5', exp: nowSeconds() - 60 }) }, url)).status).toBe(404);
    expect((await read(b, { token: 'x.y.z' }, url)).status).toBe(404);
    expect((await read(b, mallory, url)).status).toBe(404);
    // A token for files opens nothing else.
    const asked = await fetch(`${b.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: '{"query":"{ limits { maxFileBytes } }"}',
    });
    expect(asked.status).toBe(401);

    const session = await fetch(`${b.url}/files/session`, {
      method: 'POST',
      headers: { authorization: `Bearer ${bob.token}` },
    });
    const cookie = session.headers.get('set-cookie') ?? '';
    expect([session.status, cookie]).toEqual([204, expect.stringMatching(/Path=\/files; HttpOnly; SameSite=Strict/)]);
    const [pair = ''] = cookie.split(';');
    expect((await noTokens(url, { cookie: `other=1; ${pair}` })).status).toBe(200);
    expect((await noTokens(url, { cookie: `${pair}x` })).status).toBe(404);
    expect((await fetch(`${b.url}/files/session`, { method: 'POST' })).status).toBe(401);
    for (const proxied of [{}, { 'x-forwarded-proto': 'https' }]) {
      const ended = await fetch(`${b.url}/files/session`, { method: 'DELETE', headers: { cookie: pair, ...proxied } });
      const secure = 'x-forwarded-proto' in proxied ? '; Secure' : '';
      expect([ended.status, ended.headers.get('set-cookie')]).toEqual([
        204,
        `fairway_files=; Path=/files; HttpOnly; SameSite=Strict; Max-Age=0${secure}`,
      ]);
    }
    expect((await noTokens(url, { cookie: 'fairway_files=' })).status).toBe(404);
    for (const path of ['original/..', 'huge', 'received', '%2e%2e']) {
      expect((await read(b, bob, `${url?.replace('original', path)}`)).status, path).toBe(404);
    }
    expect((await read(b, bob, '/files/not-an-id/original')).status).toBe(404);
  });

  it('ends within 1 s for a removed member, on every instance', async () => {
    const other = await alice.group(5);
    const { url } = await share(makeText(text), other);
    const { token } = (await bob.http(fileAccess, {})).fileAccess;
    const askAll = () =>
      Promise.all(
        [a, b].flatMap((instance) => [
          read(instance, bob, url).then(({ status }) => status),
          fetch(new URL(`${url}?access=${token}`, instance.url)).then(({ status }) => status),
        ]),
      );
    expect(await askAll()).toEqual([200, 200, 200, 200]);
    await alice.http(removeMember, { input: { roomId: other, userId: '5' } });
    const removedAt = performance.now();
    expect(await askAll()).toEqual([404, 404, 404, 404]);
    expect(performance.now() - removedAt).toBeLessThan(1_000);
  });

  it('ends at once when the message is deleted, also while its picture is being made, and its bytes are erased soon', async () => {
    const [shared, photo] = [await share(makeText(text)), await share(await makePhoto())];
    await alice.http(deleteMessage, { input: { messageId: photo.messageId } });
    await alice.http(deleteMessage, { input: { messageId: shared.messageId } });
    for (const { url } of [shared, photo]) {
      for (const instance of [a, b]) expect((await read(instance, alice, url)).status).toBe(404);
    }
    for (const { id } of [shared, photo]) {
      await waitFor(() => listFiles(folder, `files/${id}`).length === 0, { what: 'the end of the bytes' });
    }
    // The work on the picture was under way perhaps: what it has written is erased as well.
    await waitFor(
      async () =>
        (await world.database.query('SELECT FROM chat_attachments WHERE id = $1 AND due_at IS NULL', [photo.id]))
          .length === 1,
      { what: 'the end of the work' },
    );
    await waitFor(() => listFiles(folder, `files/${photo.id}`).length === 0, { what: 'the end of what came late' });
  });

  it('ends when its time is over: an unused one after a day, others by the retention, which leaves name and size', async () => {
    const [unused, unsent] = [
      await upload(a, alice, roomId, makeText('unused')),
      await upload(a, alice, roomId, await makePhoto()),
    ];
    const kept = await share({ ...makeText('kept'), name: '계약서.txt' });
    const days = (Date.parse(await expiryOf(kept.messageId)) - Date.now()) / 86_400_000;
    expect(days).toBeGreaterThan(29.9);
    expect(days).toBeLessThan(30.1);
    await whenSettled(alice, unsent.id);
    await world.database.query(
      `UPDATE chat_attachments SET created_at = created_at - interval '25 hours', due_at = now() WHERE id = ANY($1)`,
      [[unused.id, unsent.id]],
    );
    await world.database.query(`UPDATE chat_attachments SET expires_at = now(), due_at = now() WHERE id = $1`, [
      kept.id,
    ]);
    for (const { id } of [unused, unsent, kept]) {
      await waitFor(() => listFiles(folder, `files/${id}`).length === 0, { what: 'the end of the bytes' });
      expect(await whenSettled(alice, id)).toMatchObject({ status: 'EXPIRED', url: null });
    }
    expect((await read(b, bob, kept.url)).status).toBe(404);
    const { room } = await bob.http(fileMessages, { roomId });
    const message = room?.messages.edges.find(({ node }) => node.id === kept.messageId)?.node;
    expect(message?.attachments).toMatchObject([
      { status: 'EXPIRED', name: '계약서.txt', byteSize: 4, url: null, contentType: 'text/plain' },
    ]);
    const input = { roomId, attachmentIds: [unused.id] };
    await expect(alice.http(sendFiles, { input })).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    expect(listFiles(folder, 'incoming/')).toEqual([]);
  });

  it('is never of two versions in one: what is received has another ETag than what was made of it', async () => {
    const photo = await makePhoto();
    const uploaded = await upload(a, alice, roomId, photo);
    const early = await read(a, alice, uploaded.url);
    await whenSettled(alice, uploaded.id);
    const late = await read(a, alice, uploaded.url);
    const [first, second] = [early, late].map(({ headers }) => headers.get('etag'));
    expect(late.headers.get('cache-control')).toMatch(/immutable/);
    if (early.headers.get('cache-control') === 'no-store') expect(first).not.toBe(second);
    expect((await read(a, mallory, uploaded.url)).status).toBe(404);
  });

  async function expiryOf(messageId: string): Promise<string> {
    const { room } = await bob.http(fileMessages, { roomId });
    return room?.messages.edges.find(({ node }) => node.id === messageId)?.node.attachments[0]?.expiresAt ?? '';
  }
});
