import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { findChromium } from '../../../scripts/chromium.mjs';
import { type Instance, startEmbeddedInstance } from '../../../test/support/instance.js';
import { describeWithBrowser } from '../../../test/support/requirements.js';
import { startTcpProxy } from '../../../test/support/tcp-proxy.js';
import { fieldOf, readMessages, waitUntilStored, write } from './open-app.js';

describeWithBrowser('the page of the chat app, in the embedded mode', () => {
  let instance: Instance;
  let folder: string;
  let browser: Browser;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'fairway-app-'));
    chmodSync(folder, 0o755);
    instance = await startEmbeddedInstance(join(folder, 'data'));
    browser = await chromium.launch({ executablePath: findChromium() ?? '', args: ['--no-sandbox'] });
  });
  afterAll(async () => {
    await browser?.close();
    await instance?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is never cached, its files are kept for a year, and it allows nothing from elsewhere', async () => {
    const page = await fetch(`${instance.url}/`);
    const html = await page.text();
    expect(page.headers.get('cache-control')).toBe('no-store');
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'self'");
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    const [, script = ''] = /src="\.\/(assets\/[^"]+\.js)"/.exec(html) ?? [];
    const file = await fetch(`${instance.url}/${script}`, { headers: { 'accept-encoding': 'br' } });
    expect(file.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect(file.headers.get('content-encoding')).toBe('br');
    // The first load is at most 150 KB of compressed JavaScript.
    expect(Number(file.headers.get('content-length'))).toBeLessThan(150_000);
    expect((await fetch(`${instance.url}/service-worker.js`)).headers.get('cache-control')).toBe('no-cache');
    expect((await fetch(`${instance.url}/assets/index.html`)).status).toBe(404);
    for (const path of [
      'index.html',
      'emoji/..%2f/index.html',
      'emoji/..%2findex.html',
      'emoji/%2e%2e%2fassets.json',
    ]) {
      expect([path, (await fetch(`${instance.url}/${path}`)).status]).toEqual([path, 404]);
    }
  });

  it('signs in a person of the demo, opens offline with what was stored, and signs out for good', async () => {
    const proxy = await startTcpProxy(instance.url);
    const context = await browser.newContext({ locale: 'ko-KR', viewport: { width: 1_080, height: 760 } });
    const page = await context.newPage();
    const faults: string[] = [];
    page.on('pageerror', (error) => faults.push(String(error)));
    await page.goto(proxy.url);
    await page.getByRole('button', { name: '김철수' }).click();
    await page.locator('nav a').filter({ hasText: '이영희' }).first().click();
    await fieldOf(page).waitFor();
    await write(page, '내일 봬요');
    await page.waitForFunction(() => document.querySelector('[role=log]')?.textContent?.includes('내일 봬요') === true);
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    await waitUntilStored(page, '내일 봬요');

    await proxy.cut();
    await page.reload();
    await page.waitForFunction(() => document.querySelector('[role=log]')?.textContent?.includes('내일 봬요') === true);
    expect(await readMessages(page)).toContain('내일 봬요');
    await proxy.restore();

    await page.getByRole('button', { name: '로그아웃' }).click();
    await page.getByRole('button', { name: '최민수' }).waitFor();
    await page.reload();
    await page.getByRole('button', { name: '최민수' }).waitFor();
    expect(await page.evaluate(() => document.body.textContent)).not.toContain('내일 봬요');
    expect(faults).toEqual([]);
    await context.close();
    await proxy.stop();
  });
});
