import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findChromium } from './chromium.mjs';
import { runScript, setUp } from './setup.mjs';
import { ensureChromium } from './test-requirements.mjs';

/** A picture of a story: `room`, `room dark`, `room en`, `app 1080`, `list large` in any combination. */
const usage =
  'npm run gallery [-- --pictures <folder> [--of "room dark en 320 large" ...]]: shows every part of the chat app in every state';

const { values } = parseArgs({
  options: { pictures: { type: 'string' }, of: { type: 'string', multiple: true }, help: { type: 'boolean' } },
});

/** What the README shows. */
const shown = [
  'app 1080',
  'app 1080 dark',
  'list',
  'room',
  'room en',
  'room-unsent',
  'list-offline dark',
  'room large',
];
const height = 760;
const phone = 390;

/** @type {(address: string, folder: string, wanted: string[]) => Promise<void>} */
async function takePictures(address, folder, wanted) {
  const missing = await ensureChromium();
  if (missing !== '') throw new Error(missing);
  const { chromium } = await import('playwright-core');
  mkdirSync(folder, { recursive: true });
  const browser = await chromium.launch({ executablePath: findChromium() ?? '', args: ['--no-sandbox'] });
  for (const text of wanted) {
    const [story = '', ...words] = text.split(' ');
    const width = Number(words.find((word) => /^\d+$/.test(word)) ?? phone);
    const page = await browser.newPage({
      viewport: { width, height },
      colorScheme: words.includes('dark') ? 'dark' : 'light',
    });
    await page.goto(`${address}gallery.html?story=${story}&language=${words.includes('en') ? 'en' : 'ko'}`);
    await page.locator('#root > *').waitFor();
    if (words.includes('large')) await page.addStyleTag({ content: ':root { font-size: 200% }' });
    await page.waitForTimeout(1_000);
    await page.screenshot({ path: join(folder, `${text.replaceAll(' ', '-')}.png`) });
    await page.close();
  }
  await browser.close();
}

await runScript(async () => {
  if (values.help) {
    process.stdout.write(`${usage}\n`);
    return;
  }
  await setUp({ operations: true });
  const { createServer } = await import('vite');
  const { createDevConfig } = await import('../web/vite.config.mjs');
  const server = await createServer({ ...(await createDevConfig()), server: { port: 4100 }, logLevel: 'error' });
  await server.listen();
  const [address = ''] = server.resolvedUrls?.local ?? [];
  if (values.pictures === undefined) {
    process.stdout.write(`\n  The gallery: ${address}gallery.html\n\n`);
    return;
  }
  await takePictures(address, values.pictures, values.of ?? shown);
  await server.close();
});
