import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { build, type PreviewServer, preview } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { findChromium } from '../../../scripts/chromium.mjs';
import { describeWithBrowser } from '../../../test/support/requirements.js';
import { createConfig } from '../../vite.config.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const height = 760;
const phone = { viewport: { width: 390, height }, hasTouch: true, isMobile: true };

describeWithBrowser('every part of the chat app in every state', () => {
  let folder: string;
  let server: PreviewServer;
  let browser: Browser;
  let address: string;
  let names: string[];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'fairway-gallery-'));
    const config = createConfig();
    const input = join(import.meta.dirname, '../../gallery.html');
    const outDir = join(folder, 'dist');
    await build({
      ...config,
      logLevel: 'error',
      build: { ...config.build, outDir, minify: false, rollupOptions: { input } },
    });
    server = await preview({ ...config, logLevel: 'error', build: { outDir }, preview: { port: 0, proxy: {} } });
    address = `${server.resolvedUrls?.local[0]}gallery.html`;
    browser = await chromium.launch({ executablePath: findChromium() ?? '', args: ['--no-sandbox'] });
    const page = await browser.newPage();
    await page.goto(address);
    await page.locator('figcaption').first().waitFor();
    names = await page.locator('figcaption').allTextContents();
    await page.close();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function open(context: BrowserContext, name: string, language: string): Promise<Page> {
    const page = await context.newPage();
    await page.goto(`${address}?story=${name}&language=${language}`);
    await page.locator('#root > *').waitFor();
    await settle(page);
    return page;
  }
  const settle = (page: Page) =>
    page.evaluate(() => document.fonts.ready.then(() => new Promise((drawn) => requestAnimationFrame(drawn))));

  it.each(['ko', 'en'])('fits its page, a finger, and all who read it, in language %s', async (language) => {
    const context = await browser.newContext(phone);
    const problems: string[] = [];
    for (const name of names) {
      const page = await open(context, name, language);
      const note = (what: string, found: readonly string[]) =>
        problems.push(...found.map((problem) => `${name}, ${what}: ${problem}`));
      note('phone', await findTooWide(page));
      note('touch', await findTooSmall(page));
      note('light', await findViolations(page));
      await page.emulateMedia({ colorScheme: 'dark' });
      note('dark', await findViolations(page));
      await page.setViewportSize({ width: 1_080, height });
      note('desktop', await findTooWide(page));
      await page.setViewportSize({ width: 320, height });
      await page.addStyleTag({ content: ':root { font-size: 200% }' });
      await settle(page);
      note('small and large', await findTooWide(page));
      await page.close();
    }
    await context.close();
    expect(problems).toEqual([]);
  });

  it('stands on common lines: title and time, preview and badge', async () => {
    const context = await browser.newContext(phone);
    const page = await open(context, 'list', 'ko');
    const uneven = await page.evaluate(() => {
      /** Where the text of an element stands: an empty box in a line sits on its base line. */
      const baseOf = (element: Element): number => {
        const mark = document.createElement('span');
        mark.style.display = 'inline-block';
        element.prepend(mark);
        const { bottom } = mark.getBoundingClientRect();
        mark.remove();
        return bottom;
      };
      return [...document.querySelectorAll('nav a')].flatMap((row) =>
        [
          ['[class*=title]', 'time'],
          ['[class*=preview]', '[class*=badge]'],
        ].flatMap((pair) => {
          const [first, second] = pair.map((selector) => row.querySelector(selector));
          if (first == null || second == null) return [];
          return Math.abs(baseOf(first) - baseOf(second)) > 1 ? [`${pair} ${baseOf(first)} ${baseOf(second)}`] : [];
        }),
      );
    });
    expect(uneven).toEqual([]);
    await context.close();
  });

  it('keeps bubbles of a group 2 to 4 px apart, groups 12, and no bubble wider than 70 %', async () => {
    const context = await browser.newContext(phone);
    const page = await open(context, 'room', 'ko');
    const bubbles = await page.evaluate(() =>
      [...document.querySelectorAll('article')].map((article) => {
        const { top, bottom, width } =
          article.querySelector('[class*=bubble]')?.getBoundingClientRect() ?? new DOMRect();
        const name = article.querySelector('[class*=name]');
        return {
          isFirst: article.className.includes('first'),
          hasName: name !== null,
          top,
          bottom,
          width,
          row: article.getBoundingClientRect().top,
        };
      }),
    );
    const gaps = bubbles.slice(1).flatMap(({ isFirst, hasName, top, row }, index) => {
      const above = bubbles[index]?.bottom ?? 0;
      // A name, a day or a line may stand between two.
      return hasName || row - above > 1 ? [] : [{ isFirst, gap: top - above }];
    });
    // A row begins at a whole pixel.
    expect(gaps.filter(({ isFirst, gap }) => gap < (isFirst ? 12 : 2) || gap > (isFirst ? 13 : 4))).toEqual([]);
    expect(new Set(gaps.map(({ isFirst }) => isFirst)).size).toBe(2);
    expect(Math.max(...bubbles.map(({ width }) => width))).toBeLessThanOrEqual(0.7 * phone.viewport.width);
    await context.close();
  });
});

/** What reaches beyond the page. */
const findTooWide = (page: Page): Promise<string[]> =>
  page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>('#root *')]
      .filter((element) => {
        const { left, right, width } = element.getBoundingClientRect();
        // What is only read aloud takes no space.
        return width > 1 && (left < -1 || right > innerWidth + 1);
      })
      .map((element) => `${element.tagName} ${element.getAttribute('class')} ${element.textContent?.slice(0, 30)}`),
  );

/** What answers to less than 44 px in height or width. Its area may be larger than what is seen of it. */
const findTooSmall = (page: Page): Promise<string[]> =>
  page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>('button, input, textarea, nav a, [role=menuitem]')].flatMap(
      (element) => {
        if (!element.checkVisibility()) return [];
        element.scrollIntoView({ block: 'center' });
        const box = element.getBoundingClientRect();
        const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
        const others = [
          [-21, 0],
          [21, 0],
          [0, -21],
          [0, 21],
        ].flatMap(([right = 0, down = 0]) => {
          const hit = document.elementFromPoint(x + right, y + down);
          const answers = hit === null || element.contains(hit) || hit.contains(element);
          return answers ? [] : [`${right} ${down} ${hit.outerHTML.slice(0, 60)}`];
        });
        return others.length === 0 ? [] : [`${element.outerHTML.slice(0, 90)} ${box.width} x ${box.height}: ${others}`];
      },
    ),
  );

async function findViolations(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    // A story is a part of a page, without the landmarks of one.
    const ofPages = ['region', 'landmark-one-main', 'page-has-heading-one'];
    const rules = Object.fromEntries(ofPages.map((rule) => [rule, { enabled: false }]));
    const { violations } = await (window as unknown as AxeWindow).axe.run({ rules });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`);
  });
}

interface AxeWindow {
  readonly axe: {
    run(options: object): Promise<{
      readonly violations: readonly { readonly id: string; readonly nodes: readonly { readonly html: string }[] }[];
    }>;
  };
}
