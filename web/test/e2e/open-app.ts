import type { Browser, BrowserContext, Page } from 'playwright-core';
import { tokenFor } from '../../../test/support/client.js';
import { waitFor } from '../../../test/support/wait-for.js';

export interface OpenedApp {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What went wrong in the page: errors, and requests that failed. */
  readonly faults: readonly string[];
}

interface OpenOptions {
  readonly url: string;
  readonly userId: number;
  readonly path?: string;
  readonly context?: Parameters<Browser['newContext']>[0];
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
