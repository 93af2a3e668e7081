import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { findChromium } from '../../../scripts/chromium.mjs';
import { tokenFor } from '../../../test/support/client.js';
import { startTcpProxy, type TcpProxy } from '../../../test/support/tcp-proxy.js';
import { waitFor } from '../../../test/support/wait-for.js';
import type { World } from '../../../test/support/world.js';

export interface OpenedApp {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What went wrong in the page: errors, and requests that failed. */
  readonly faults: readonly string[];
}

type ContextOptions = Parameters<Browser['newContext']>[0];

/** Chromium for the tests of one file, in which people open the app. */
export interface Apps {
  readonly browser: Browser;
  /** All that were opened so far. */
  readonly opened: readonly OpenedApp[];
  /** Opens the app as a user, through a proxy of its own in front of one of the instances, until the end of the test. */
  open(userId: number, path?: string, options?: ContextOptions): Promise<OpenedApp & { readonly proxy: TcpProxy }>;
  openRoom(userId: number, roomId: string, options?: ContextOptions): ReturnType<Apps['open']>;
}

export function useApps(world: World): Apps {
  const opened: OpenedApp[] = [];
  const apps = {
    opened,
    open: async (userId: number, path = '', options: ContextOptions = {}) => {
      const proxy = await startTcpProxy(world.instances[userId % 2]?.url ?? '');
      const app = await openApp(apps.browser, { url: proxy.url, userId, path, context: options });
      opened.push(app);
      onTestFinished(async () => {
        await app.context.close();
        await proxy.stop();
      });
      return { ...app, proxy };
    },
    openRoom: (userId: number, roomId: string, options: ContextOptions = {}) =>
      apps.open(userId, `?room=${roomId}`, options),
  } as { -readonly [Key in keyof Apps]: Apps[Key] };
  beforeAll(async () => {
    apps.browser = await chromium.launch({ executablePath: findChromium() ?? '', args: ['--no-sandbox'] });
  });
  afterAll(async () => {
    await apps.browser?.close();
  });
  return apps;
}

interface OpenOptions {
  readonly url: string;
  readonly userId: number;
  readonly path?: string;
  readonly context?: ContextOptions;
}

/** Opens the app as a user, in a browser of its own; the token comes from a script, as of a platform's page. */
export async function openApp(
  browser: Browser,
  { url, userId, path = '', context: options }: OpenOptions,
): Promise<OpenedApp> {
  const context = await browser.newContext({ locale: 'ko-KR', viewport: { width: 1_080, height: 760 }, ...options });
  await context.addInitScript(
    (token) => {
      Object.assign(window, { fairwayHost: { getToken: async () => token } });
    },
    await tokenFor(userId),
  );
  const faults: string[] = [];
  context.on('weberror', (error) => faults.push(String(error.error())));
  context.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  const page = await context.newPage();
  await page.goto(`${url}${path}`);
  return { context, page, faults };
}

/** What the open room shows, in its order: the text of each message. */
export const readMessages = (page: Page): Promise<string[]> =>
  page.evaluate(() =>
    [...document.querySelectorAll('[role=log] [data-message]')]
      .sort((a, b) => Number(a.getAttribute('data-index')) - Number(b.getAttribute('data-index')))
      .flatMap((row) => row.querySelector('article span[dir=auto][class*=text]')?.textContent ?? []),
  );

/** Waits until the newest messages of the open room are these. */
export const shows = (page: Page, ...texts: string[]): Promise<unknown> =>
  waitFor(async () => JSON.stringify((await readMessages(page)).slice(-texts.length)) === JSON.stringify(texts), {
    what: `the page to show ${texts.join()}`,
  });

/** How far the open room is from its end, in px. */
export const distanceFromEnd = (page: Page): Promise<number> =>
  page
    .getByRole('log')
    .evaluate(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight);

/** The texts of a room, as the database has them. */
export const readStored = async ({ database }: World, roomId: string): Promise<string[]> =>
  (
    await database.query("SELECT content FROM chat_messages WHERE room_id = $1 AND type = 'TEXT' ORDER BY seq", [
      roomId,
    ])
  ).map(({ content }) => content);

/** The field to write in. */
export const fieldOf = (page: Page) => page.locator('textarea');

/** Writes a message and presses Enter. */
export async function write(page: Page, text: string): Promise<void> {
  await fieldOf(page).fill(text);
  await fieldOf(page).press('Enter');
}

/** Waits until the browser has stored this text: what a page shows is on the disk a moment later. */
export const waitUntilStored = (page: Page, text: string, store: 'outbox' | 'logs' = 'logs'): Promise<unknown> =>
  waitFor(
    () =>
      page.evaluate(
        async ([wanted, storeName]) => {
          for (const { name = '' } of await indexedDB.databases()) {
            if (!/:\d+$/.test(name)) continue;
            const database = await new Promise<IDBDatabase>((resolve, reject) => {
              const opening = indexedDB.open(name);
              opening.onsuccess = () => resolve(opening.result);
              opening.onerror = () => reject(opening.error);
            });
            const rows = await new Promise<unknown[]>((resolve) => {
              const reading = database.transaction(storeName).objectStore(storeName).getAll();
              reading.onsuccess = () => resolve(reading.result);
            });
            database.close();
            if (JSON.stringify(rows).includes(wanted)) return true;
          }
          return false;
        },
        [text, store] as const,
      ),
    { what: `${text} on the disk` },
  );
