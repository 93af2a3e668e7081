import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Locator, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, it, onTestFinished } from 'vitest';
import { findChromium } from '../../scripts/chromium.mjs';
import { type Instance, startEmbeddedInstance } from '../support/instance.js';
import { describeWithBrowser } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { type HttpAnswer, postOperation } from '../support/wire.js';
import { useWorld } from '../support/world.js';

describeWithBrowser('GraphiQL, cut off from the network', () => {
  const world = useWorld({ instances: 1 });
  let browser: Browser;
  /** Requests of the page to any host but the instance. */
  const elsewhere: string[] = [];
  const faults: string[] = [];

  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: findChromium() ?? '',
      args: ['--no-sandbox', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
    });
  });
  afterEach(() => expect({ elsewhere, faults }).toEqual({ elsewhere: [], faults: [] }));
  afterAll(() => browser?.close());

  async function open({ url }: Pick<Instance, 'url'>, path = '/graphql', shown = '/graphql'): Promise<Page> {
    const context = await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'] });
    onTestFinished(() => context.close());
    const note = (requested: string) => {
      const { protocol, host } = new URL(requested);
      if (!['data:', 'blob:'].includes(protocol) && host !== new URL(url).host) elsewhere.push(requested);
    };
    const page = await context.newPage();
    page.on('request', (request) => note(request.url()));
    page.on('websocket', (socket) => note(socket.url()));
    page.on('pageerror', (error) => faults.push(String(error)));
    // The console reports violations of the page's content security policy.
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text());
    });
    await page.goto(`${url}${path}`);
    expect(new URL(page.url()).pathname).toBe(shown);
    return page;
  }

  it('runs a query and shows a live message of another client, with the token from its headers', async () => {
    const kim = await world.client(4);
    const room = await kim.group(5);
    const page = await open(world.instances[0] as Instance);
    await page.getByText('Headers', { exact: true }).click();
    const headers = page.locator('.graphiql-editor-tool .monaco-editor:visible');
    await write(page, headers, `{ "Authorization": "Bearer ${kim.token}" }`);

    await run(page, 'WhoAmI', 'query WhoAmI { viewer { id name } }');
    await shows(page, '"name": "김철수"');

    await run(page, 'Watch', watch(room));
    await shows(page, '"RoomReady"');
    await (await world.client(5)).send(room, '화면에 보이나요?');
    await shows(page, '"content": "화면에 보이나요?"');
  });

  it('works behind a proxy that serves it under a prefix, also with a slash at the end', async () => {
    const kim = await world.client(4);
    const { port } = world.instances[0] as Instance;
    const proxy = createServer((incoming, outgoing) => {
      const path = incoming.url?.startsWith('/chat/') ? incoming.url.slice('/chat'.length) : undefined;
      if (path === undefined) return void outgoing.writeHead(404).end();
      const { method, headers } = incoming;
      const passed = request({ port, host: '127.0.0.1', path, method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(outgoing);
      });
      passed.on('error', () => outgoing.destroy());
      outgoing.on('close', () => passed.destroy());
      incoming.pipe(passed);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      proxy.closeAllConnections();
      proxy.close();
    });
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    for (const path of ['/chat/graphql', '/chat/graphql/']) {
      const page = await open({ url }, path, path);
      await page.getByText('Headers', { exact: true }).click();
      const headers = page.locator('.graphiql-editor-tool .monaco-editor:visible');
      await write(page, headers, `{ "Authorization": "Bearer ${kim.token}" }`);
      await run(page, 'WhoAmI', 'query WhoAmI { viewer { id name } }');
      await shows(page, '"name": "김철수"');
    }
  });

  it('opens with the token of a demo user in the embedded mode', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fairway-graphiql-'));
    chmodSync(folder, 0o755);
    const instance = await startEmbeddedInstance(join(folder, 'data'));
    onTestFinished(async () => {
      await instance.stop();
      rmSync(folder, { recursive: true, force: true });
    });
    const page = await open(instance);
    await page.locator('.graphiql-execute-button').click();
    await shows(page, '"name": "김철수"');
    await shows(page, '"type": "DIRECT"');

    const lee = await logIn(instance, 5);
    const room = await directRoomOf(lee);
    await run(page, 'Watch', watch(room));
    await shows(page, '"RoomReady"');
    await lee({ query: `mutation { sendMessage(input: { roomId: "${room}", content: "여보세요" }) { duplicate } }` });
    await shows(page, '"content": "여보세요"');
  });
});

const watch = (room: string) => `subscription Watch {
  roomEvents(roomId: "${room}") { __typename ... on MessageAdded { message { content } } }
}`;

/** Replaces the editor's text by pasting: typed text would get the editor's own brackets and completions. */
async function write(page: Page, editor: Locator, text: string): Promise<void> {
  await page.evaluate(`navigator.clipboard.writeText(${JSON.stringify(text)})`);
  await editor.click();
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.press('ControlOrMeta+V');
}

async function run(page: Page, name: string, text: string): Promise<void> {
  await write(page, page.locator('.graphiql-query-editor .monaco-editor'), text);
  // GraphiQL parses the operation a moment later and then names the tab after it.
  await page.locator('.graphiql-tab-button', { hasText: name }).waitFor();
  await page.locator('.graphiql-execute-button').click();
}

/** The editors write every space as a no-break space. */
const shows = (page: Page, text: string): Promise<unknown> =>
  waitFor(
    async () =>
      ((await page.locator('.graphiql-response').textContent()) ?? '').replaceAll('\u00a0', ' ').includes(text),
    {
      what: `${text} in the answer`,
      pollMs: 100,
    },
  );

type Ask = (operation: { query: string }) => Promise<HttpAnswer>;

/** Logs a demo user in through the development login, and returns a function that sends operations. */
async function logIn(instance: Instance, userId: number): Promise<Ask> {
  const response = await fetch(`${instance.url}/dev/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ userId }),
  });
  const { token } = (await response.json()) as { token: string };
  return (operation) => postOperation(instance, operation, { authorization: `Bearer ${token}` });
}

async function directRoomOf(ask: Ask): Promise<string> {
  const { data } = await ask({ query: '{ rooms(first: 10, type: DIRECT) { edges { node { id } } } }' });
  const { edges } = (data as { rooms: { edges: { node: { id: string } }[] } }).rooms;
  return edges[0]?.node.id ?? '';
}
