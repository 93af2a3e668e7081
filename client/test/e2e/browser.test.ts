import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { findChromium } from '../../../scripts/chromium.mjs';
import type { TestClient } from '../../../test/support/client.js';
import { describeWithBrowser } from '../../../test/support/requirements.js';
import { startTcpProxy, type TcpProxy } from '../../../test/support/tcp-proxy.js';
import { waitFor } from '../../../test/support/wait-for.js';
import { useWorld } from '../../../test/support/world.js';
import { bundle } from './bundle.js';

describeWithBrowser('the client in Chromium', () => {
  const world = useWorld({ instances: 0, env: { MAX_SOCKETS_PER_USER: '10' } });
  let browser: Browser;
  let site: Server;
  let origin: string;
  let kim: TestClient;
  let lee: TestClient;
  const faults: string[] = [];

  beforeAll(async () => {
    const script = await bundle('page.ts');
    site = createServer((request, response) => {
      const isScript = request.url === '/page.js';
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
      response.end(isScript ? script : '<!doctype html><meta charset="utf-8"><body><script src="/page.js"></script>');
    });
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
    await world.start({ ALLOWED_ORIGINS: origin });
    [kim, lee] = [await world.client(4), await world.client(5)];
    browser = await chromium.launch({ executablePath: findChromium() ?? '', args: ['--no-sandbox'] });
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
    expect(faults).toEqual([]);
  });

  async function openBrowser(): Promise<{ context: BrowserContext; proxy: TcpProxy }> {
    const context = await browser.newContext();
    const proxy = await startTcpProxy(world.instances[0]?.url ?? '');
    onTestFinished(async () => {
      await context.close();
      await proxy.stop();
    });
    return { context, proxy };
  }

  async function openTab(context: BrowserContext, proxy: TcpProxy, roomId: string, options = {}): Promise<Page> {
    const page = await context.newPage();
    page.on('pageerror', (error) => faults.push(String(error)));
    await page.goto(origin);
    await begin(page, proxy, roomId, options);
    return page;
  }

  const begin = (page: Page, proxy: TcpProxy, roomId: string, options = {}) =>
    page.evaluate(
      ([start, room]) => {
        window.handle.start(start);
        window.handle.open(room);
      },
      [{ url: `${proxy.url}graphql`, token: kim.token, ...options }, roomId] as const,
    );
  const look = (page: Page, roomId: string) => page.evaluate((id) => window.handle.look(id), roomId);
  const shows = (page: Page, roomId: string, ...expected: string[]) =>
    waitFor(async () => JSON.stringify((await look(page, roomId)).texts) === JSON.stringify(expected), {
      what: `the page to show ${expected.join()}`,
    });
  const send = (page: Page, roomId: string, content: string) =>
    page.evaluate(([id, text]) => window.handle.send(id, text), [roomId, content] as const);
  const isReady = (page: Page, roomId: string) =>
    waitFor(async () => (await look(page, roomId)).status === 'ready', { what: 'the room to be ready' });
  const stored = async (roomId: string) =>
    (
      await world.database.query(
        "SELECT content FROM chat_messages WHERE room_id = $1 AND type = 'TEXT' ORDER BY seq",
        [roomId],
      )
    ).map(({ content }) => content);

  it('keeps unsent messages over a reload, and sends them once', async () => {
    const roomId = await kim.group(5);
    const { context, proxy } = await openBrowser();
    const page = await openTab(context, proxy, roomId);
    await isReady(page, roomId);
    await proxy.cut();
    await send(page, roomId, 'one');
    await send(page, roomId, 'two');
    await shows(page, roomId, 'one pending', 'two pending');
    // The page is left only when both are on the disk.
    await waitFor(() => page.evaluate(() => window.handle.storedOperations()).then((count) => count === 2), {
      what: 'two stored operations',
    });
    await page.reload();
    await begin(page, proxy, roomId);
    await shows(page, roomId, 'one pending', 'two pending');
    await proxy.restore();
    await shows(page, roomId, 'one sent', 'two sent');
    expect(await stored(roomId)).toEqual(['one', 'two']);
  });

  it('delivers what a frozen tab has begun, from another tab, once', async () => {
    const roomId = await kim.group(5);
    const { context, proxy } = await openBrowser();
    const frozen = await openTab(context, proxy, roomId);
    await isReady(frozen, roomId);
    const other = await openTab(context, proxy, roomId);
    await isReady(other, roomId);
    await proxy.cut({ silently: true });
    await send(frozen, roomId, 'one');
    await shows(other, roomId, 'one pending');
    const session = await context.newCDPSession(frozen);
    await session.send('Page.setWebLifecycleState', { state: 'frozen' });
    await proxy.restore();
    await send(other, roomId, 'two');
    await shows(other, roomId, 'one sent', 'two sent');
    await session.send('Page.setWebLifecycleState', { state: 'active' });
    await shows(frozen, roomId, 'one sent', 'two sent');
    expect(await stored(roomId)).toEqual(['one', 'two']);
  });

  it('receives and sends without WebSockets', async () => {
    const roomId = await kim.group(5);
    const { context, proxy } = await openBrowser();
    const page = await openTab(context, proxy, roomId, { withoutSockets: true });
    await isReady(page, roomId);
    expect(await page.evaluate(() => window.handle.connection())).toMatchObject({ transport: 'sse' });
    await lee.send(roomId, 'one');
    await shows(page, roomId, 'one sent');
    await send(page, roomId, 'two');
    await shows(page, roomId, 'one sent', 'two sent');
  });

  it('shows a message in each of twelve tabs, although the server allows ten connections', async () => {
    const roomId = await kim.group(5);
    const { context, proxy } = await openBrowser();
    const tabs: Page[] = [];
    for (let tab = 0; tab < 12; tab += 1) tabs.push(await openTab(context, proxy, roomId));
    for (const page of tabs) await isReady(page, roomId);
    await lee.send(roomId, 'one');
    for (const page of tabs) await shows(page, roomId, 'one sent');
    await send(tabs.at(-1) as Page, roomId, 'two');
    for (const page of tabs) await shows(page, roomId, 'one sent', 'two sent');
    expect(await stored(roomId)).toEqual(['one', 'two']);
  });

  it('opens one socket for a component that React mounts a thousand times, and leaves nothing behind', async () => {
    const roomId = await kim.group(5);
    const { context, proxy } = await openBrowser();
    const page = await openTab(context, proxy, roomId);
    await isReady(page, roomId);
    await page.evaluate((id) => window.handle.mount(id, 1_000), roomId);
    expect(await page.evaluate(() => window.handle.sockets)).toBe(1);
    await page.evaluate(() => window.handle.close());
    const session = await context.newCDPSession(page);
    const { result } = await session.send('Runtime.evaluate', { expression: 'window' });
    const { listeners } = await session.send('DOMDebugger.getEventListeners', { objectId: result.objectId ?? '' });
    expect(
      listeners.map(({ type }) => type).filter((type) => ['online', 'offline', 'pagehide', 'focus'].includes(type)),
    ).toEqual([]);
  });
});
