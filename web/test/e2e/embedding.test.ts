import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { findChromium } from '../../../scripts/chromium.mjs';
import { describeWithBrowser } from '../../../test/support/requirements.js';
import { waitFor } from '../../../test/support/wait-for.js';
import { useWorld } from '../../../test/support/world.js';

/** A page of the platform with the app in a frame, as the README of the app shows it. */
const pageWith = (app: string, token: string) => `<!doctype html><meta charset="utf-8">
  <iframe id="chat" src="${app}/" width="1000" height="600"></iframe>
  <script>
    const chat = document.getElementById('chat');
    window.asked = 0;
    addEventListener('message', (event) => {
      if (event.origin !== '${app}' || event.source !== chat.contentWindow) return;
      if (event.data?.type !== 'fairway:getToken') return;
      window.asked += 1;
      chat.contentWindow.postMessage({ type: 'fairway:token', token: ${token} }, '${app}');
    });
  </script>`;

describeWithBrowser('the chat app in a frame', () => {
  const world = useWorld({ instances: 0 });
  let browser: Browser;
  let sites: Server[];
  let origins: string[];
  let page = '';

  beforeAll(async () => {
    sites = [0, 1].map(() =>
      createServer((_request, response) => response.setHeader('content-type', 'text/html').end(page)),
    );
    for (const site of sites) await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    origins = sites.map((site) => `http://127.0.0.1:${(site.address() as AddressInfo).port}`);
    await world.start({ FRAME_ANCESTORS: origins[0] ?? '' });
    browser = await chromium.launch({ executablePath: findChromium() ?? '', args: ['--no-sandbox'] });
  });
  afterAll(async () => {
    await browser?.close();
    for (const site of sites ?? []) site.close();
  });

  async function open(origin = '', token = 'null') {
    const url = world.instances[0]?.url ?? '';
    page = pageWith(url, token);
    const context = await browser.newContext({ locale: 'ko-KR' });
    onTestFinished(() => context.close());
    const tab = await context.newPage();
    await tab.goto(origin);
    return tab;
  }

  it('is signed in by the page around it, if that is one of FRAME_ANCESTORS', async () => {
    const kim = await world.client(4);
    const roomId = await kim.group(5);
    await kim.send(roomId, '틀 안에서');
    const tab = await open(origins[0], JSON.stringify(kim.token));
    await tab.frameLocator('#chat').getByText('틀 안에서').waitFor();
    // Nobody signs out of an app whose page signs in.
    expect(await tab.frameLocator('#chat').getByText('로그아웃').count()).toBe(0);
  });

  it('signs out when the page around it says so, and leaves nothing behind', async () => {
    const kim = await world.client(4);
    const roomId = await kim.group(5);
    await kim.send(roomId, '곧 사라질 것');
    const tab = await open(origins[0], JSON.stringify(kim.token));
    const app = tab.frameLocator('#chat');
    await app.getByText('곧 사라질 것').waitFor();
    await tab.evaluate(() => {
      const frame = document.getElementById('chat') as HTMLIFrameElement;
      frame.contentWindow?.postMessage({ type: 'fairway:token', token: null }, new URL(frame.src).origin);
    });
    await app.getByText('로그인 정보를 기다리는 중입니다').waitFor();
    expect(await app.locator('body').textContent()).not.toContain('곧 사라질 것');
  });

  it('says that it waits where the page signs nobody in', async () => {
    const tab = await open(origins[0]);
    await tab.frameLocator('#chat').getByText('로그인 정보를 기다리는 중입니다').waitFor();
  });

  it('is shown by no other page, and asks it for nothing', async () => {
    const kim = await world.client(4);
    const tab = await open(origins[1], JSON.stringify(kim.token));
    await waitFor(() => tab.frames()[1]?.url().startsWith('chrome-error:') === true, { what: 'the refused frame' });
    expect(await tab.evaluate('window.asked')).toBe(0);
  });
});
