import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrowserContext, Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import type { TestClient } from '../../../test/support/client.js';
import { upload } from '../../../test/support/files.js';
import { sendFiles } from '../../../test/support/operations.js';
import { describeWithBrowser } from '../../../test/support/requirements.js';
import { startTcpProxy } from '../../../test/support/tcp-proxy.js';
import { waitFor } from '../../../test/support/wait-for.js';
import { useWorld } from '../../../test/support/world.js';
import { fieldOf, openApp, shows, useApps, waitUntilStored, write } from './open-app.js';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Payload {
  readonly name: string;
  readonly mimeType: string;
  readonly buffer: Buffer;
}

const photo = async (name: string, width: number, height: number, background: string): Promise<Payload> => ({
  name,
  mimeType: 'image/jpeg',
  buffer: await sharp({ create: { width, height, channels: 3, background } })
    .jpeg()
    .toBuffer(),
});
/** One that does not become small. */
const noise = async (name: string, side: number): Promise<Payload> => ({
  name,
  mimeType: 'image/png',
  buffer: await sharp({
    create: { width: side, height: side, channels: 3, background: '#888', noise: { type: 'gaussian', sigma: 60 } },
  })
    .png({ compressionLevel: 0 })
    .toBuffer(),
});
const text = (name: string, words: string): Payload => ({
  name,
  mimeType: 'text/plain',
  buffer: Buffer.from(words),
});

describeWithBrowser('pictures and files in the chat app', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fairway-files-'));
  const world = useWorld({ instances: 2, env: { STORAGE_URL: `file:${folder}`, MAX_FILE_BYTES: '12000000' } });
  const apps = useApps(world);
  const { openRoom } = apps;
  const browserOf = () => apps.browser;
  let kim: TestClient;

  beforeAll(async () => {
    kim = await world.client(4, 1);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }));

  const choose = (page: Page, ...files: Payload[]) => page.locator('input[type=file]').setInputFiles([...files]);
  const tray = (page: Page) => page.getByRole('list', { name: '보낼 파일' });
  const openReady = async (userId: number, roomId: string) => {
    const app = await openRoom(userId, roomId);
    await app.page.getByText('대화의 시작입니다').waitFor();
    return app;
  };
  /** The messages of the room that have files, with the names of these, as the database has them. */
  const stored = async (roomId: string) => {
    const rows = await world.database.query(
      `SELECT m.content, string_agg(a.name, ' ' ORDER BY u.position) AS names
       FROM chat_messages m JOIN chat_message_attachments u ON u.message_id = m.id
       JOIN chat_attachments a ON a.id = u.attachment_id WHERE m.room_id = $1 GROUP BY m.id, m.seq, m.content ORDER BY m.seq`,
      [roomId],
    );
    return rows.map(({ content, names }) => [content, names]);
  };
  /** Waits until the picture is there, from the server. */
  const showsPicture = (page: Page, name: string) =>
    waitFor(
      () =>
        page
          .getByRole('button', { name: `크게 보기: ${name}` })
          .locator('img')
          .evaluateAll((images) =>
            images.some((image) => {
              const { complete, naturalWidth, src } = image as HTMLImageElement;
              return complete && naturalWidth > 0 && /\/files\/|blob:/.test(src);
            }),
          ),
      { what: `the picture ${name}`, timeoutMs: 20_000 },
    );
  /** Resolves with whether the browser does nothing of its own. */
  const dispatch = (page: Page, selector: string, type: 'paste' | 'drop' | 'dragenter', files: readonly Payload[]) =>
    page.locator(selector).evaluate(
      (element, { kind, given }) => {
        const data = new DataTransfer();
        for (const { name, mimeType, base64 } of given) {
          const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
          data.items.add(new File([bytes], name, { type: mimeType }));
        }
        const init = { bubbles: true, cancelable: true };
        const goesOn = element.dispatchEvent(
          kind === 'paste'
            ? new ClipboardEvent(kind, { ...init, clipboardData: data })
            : new DragEvent(kind, { ...init, dataTransfer: data }),
        );
        return !goesOn;
      },
      { kind: type, given: files.map(({ buffer, ...file }) => ({ ...file, base64: buffer.toString('base64') })) },
    );
  /** Notes where the first message is and how high the last one, at each frame from its second on. */
  const watchJumps = (page: Page) =>
    page.evaluate(() => {
      const noted: Record<string, number[]> = {};
      const frames: Record<string, number> = {};
      Object.assign(window, { noted });
      const look = () => {
        for (const row of document.querySelectorAll<HTMLElement>('[data-message]')) {
          const id = row.dataset['message'] ?? '';
          frames[id] = (frames[id] ?? 0) + 1;
          // It is measured when it is drawn.
          if ((frames[id] ?? 0) > 2) noted[id] = [...(noted[id] ?? []), row.getBoundingClientRect().height];
        }
        requestAnimationFrame(look);
      };
      look();
    });
  const largestJump = (page: Page) =>
    page.evaluate(() => {
      const { noted } = window as unknown as { noted: Record<string, number[]> };
      return Math.max(...Object.values(noted).map((heights) => Math.max(...heights) - Math.min(...heights)));
    });
  const slowDown = async (context: BrowserContext, page: Page, uploadThroughput: number) => {
    const session = await context.newCDPSession(page);
    await session.send('Network.enable');
    const set = (bytes: number) =>
      session.send('Network.emulateNetworkConditions', {
        offline: false,
        latency: 0,
        downloadThroughput: -1,
        uploadThroughput: bytes,
      });
    await set(uploadThroughput);
    return () => set(-1);
  };

  it('go from one to the other by the picker, a drop and a paste, with a caption, and nothing jumps', async () => {
    const roomId = await kim.group(5);
    const { page: ofKim, faults } = await openReady(4, roomId);
    const { page: ofLee, faults: faultsOfLee } = await openReady(5, roomId);
    await write(ofLee, '사진 보내 주세요');
    await shows(ofKim, '사진 보내 주세요');
    await watchJumps(ofKim);
    await watchJumps(ofLee);

    await choose(ofKim, await photo('호수.jpg', 1_600, 900, '#3a7'));
    await tray(ofKim).getByText('호수.jpg').waitFor();
    await write(ofKim, '3번 코스입니다');
    expect(await tray(ofKim).count()).toBe(0);
    await showsPicture(ofLee, '호수.jpg');
    await shows(ofLee, '사진 보내 주세요', '3번 코스입니다');

    const album = await Promise.all(
      [1, 2, 3, 4, 5].map((number) => photo(`코스 ${number}.jpg`, 800, 600, `hsl(${number * 60} 50% 50%)`)),
    );
    await dispatch(ofLee, 'main section', 'dragenter', album);
    await ofLee.getByText('여기에 놓으면 첨부됩니다').waitFor();
    await dispatch(ofLee, 'main section', 'drop', album);
    await tray(ofLee).getByText('코스 5.jpg').waitFor();
    expect(await ofLee.getByText('여기에 놓으면 첨부됩니다').count()).toBe(0);
    await fieldOf(ofLee).press('Enter');
    for (const { name } of album) await showsPicture(ofKim, name);

    await dispatch(ofKim, 'textarea', 'paste', [text('회의록.txt', '안녕하세요')]);
    await tray(ofKim).getByText('회의록.txt').waitFor();
    await ofKim.getByRole('button', { name: '보내기' }).click();
    const link = ofLee.getByRole('link', { name: /회의록\.txt/ });
    await link.waitFor();
    const address = await link.getAttribute('href');
    expect(await ofLee.evaluate((url) => fetch(String(url)).then((answer) => answer.text()), address)).toBe(
      '안녕하세요',
    );

    expect(await stored(roomId)).toEqual([
      ['3번 코스입니다', '호수.jpg'],
      ['', '코스 1.jpg 코스 2.jpg 코스 3.jpg 코스 4.jpg 코스 5.jpg'],
      ['', '회의록.txt'],
    ]);
    await waitFor(async () => (await ofKim.getByText('보내는 중').count()) === 0, { what: 'the marks to go' });
    expect(await largestJump(ofKim)).toBeLessThanOrEqual(1);
    expect(await largestJump(ofLee)).toBeLessThanOrEqual(1);
    expect([...faults, ...faultsOfLee]).toEqual([]);
  });

  it('are not sent once they are cancelled', async () => {
    const roomId = await kim.group(5);
    const { page, context } = await openReady(4, roomId);
    const hurry = await slowDown(context, page, 400_000);
    await choose(page, await noise('안 보낼 사진.png', 1_500));
    await tray(page).getByText('안 보낼 사진.png').waitFor();
    await fieldOf(page).press('Enter');
    await page.getByRole('progressbar').waitFor();
    await page.getByRole('button', { name: '취소' }).click();
    await waitFor(async () => (await page.getByRole('progressbar').count()) === 0, { what: 'it to go' });
    await hurry();
    await write(page, '다른 글');
    await waitFor(async () => (await page.getByText('보내는 중').count()) === 0, { what: 'the text to be sent' });
    expect(await stored(roomId)).toEqual([]);
  });

  it('are refused with the reason in words', async () => {
    const roomId = await kim.group(5);
    const { page } = await openReady(4, roomId);
    await waitFor(
      () => page.locator('input[type=file]').evaluate((input) => (input as HTMLInputElement).accept !== ''),
      {
        what: 'the limits',
      },
    );
    await choose(page, { name: '영화.mp4', mimeType: 'video/mp4', buffer: Buffer.alloc(12_000_001) });
    await page.getByText('‘영화.mp4’는 너무 큽니다. 11.4MB까지 보낼 수 있습니다').waitFor();
    expect(await tray(page).count()).toBe(0);
    await choose(page, { name: '빈 글.txt', mimeType: 'text/plain', buffer: Buffer.alloc(0) });
    await page.getByText('‘빈 글.txt’는 빈 파일이라 보낼 수 없습니다').waitFor();
    const many = Array.from({ length: 11 }, (_, index) => text(`${index}.txt`, 'a'));
    await choose(page, ...many, { name: '빈 글.txt', mimeType: 'text/plain', buffer: Buffer.alloc(0) });
    await page.getByText(/‘빈 글.txt’는 빈 파일이라 보낼 수 없습니다.*10개/).waitFor();
    for (let index = 0; index < 10; index += 1) await page.getByRole('button', { name: `${index}.txt 빼기` }).click();
    const program = Buffer.concat([Buffer.from('MZ'), Buffer.alloc(500)]);
    await choose(page, { name: '프로그램.exe', mimeType: 'application/x-msdownload', buffer: program });
    await tray(page).getByText('프로그램.exe').waitFor();
    await fieldOf(page).press('Enter');
    await page.getByText('보내지 못함').waitFor();
    await page.getByText('보낼 수 없는 형식의 파일입니다').first().waitFor();
    await page.getByRole('button', { name: '지우기' }).click();
    await waitFor(async () => (await page.getByText('프로그램.exe').count()) === 0, { what: 'it to go' });

    await choose(
      page,
      { name: '프로그램.exe', mimeType: 'application/x-msdownload', buffer: program },
      text('계약.txt', '계약'),
    );
    await tray(page).getByText('계약.txt').waitFor();
    await write(page, '둘 중 하나');
    await page.getByText('‘프로그램.exe’: 보낼 수 없는 형식의 파일입니다').waitFor();
    await page.getByRole('button', { name: '빼고 보내기' }).click();
    await waitFor(async () => (await stored(roomId)).length === 1, { what: 'the rest to be sent' });
    expect(await stored(roomId)).toEqual([['둘 중 하나', '계약.txt']]);
  });

  it('are not read any more in this browser once their reader has signed out', async () => {
    const roomId = await kim.group(5);
    const { page, context } = await openReady(4, roomId);
    await choose(page, await photo('가을.jpg', 600, 400, '#a63'));
    await tray(page).getByText('가을.jpg').waitFor();
    await write(page, '가을');
    await waitFor(async () => (await stored(roomId)).length === 1, { what: 'it to be sent' });
    const cookies = async () => (await context.cookies()).filter(({ name }) => name === 'fairway_files').length;
    await waitFor(async () => (await cookies()) === 1, { what: 'the cookie for files' });
    await context.addInitScript(() => {
      Object.assign(window, { fairwayHost: { getToken: async () => null } });
    });
    await page.reload();
    await waitFor(async () => (await cookies()) === 0, { what: 'the end of the cookie' });
  });

  it('are read again once the access to them is renewed, and open nowhere else when they miss the room', async () => {
    const lee = await world.client(5, 1);
    const [seen, other] = [await kim.group(5), await lee.group(4)];
    const { page: ofKim } = await openReady(4, seen);
    await choose(ofKim, await photo('첫째.jpg', 800, 600, '#37a'));
    await fieldOf(ofKim).press('Enter');
    await showsPicture(ofKim, '첫째.jpg');
    await ofKim.locator(`nav a[href*="${other}"]`).click();
    await choose(ofKim, await photo('둘째.jpg', 800, 600, '#a37'));
    await fieldOf(ofKim).press('Enter');
    await showsPicture(ofKim, '둘째.jpg');

    const { page, context } = await openReady(5, seen);
    await showsPicture(page, '첫째.jpg');
    // As if it had ended while the device slept.
    await context.clearCookies();
    const refused = page.waitForResponse((answer) => answer.url().includes('/files/') && answer.status() === 404);
    await page.locator(`nav a[href*="${other}"]`).click();
    await refused;
    await showsPicture(page, '둘째.jpg');
    expect(await dispatch(page, 'nav', 'drop', [text('옆.txt', 'a')])).toBe(true);
  });

  it('are looked at with the keyboard alone, enlarged, saved, and found again among all files of the room', async () => {
    const roomId = await kim.group(5);
    const { page } = await openReady(4, roomId);
    const pictures = await Promise.all(
      [1, 2, 3].map((number) => photo(`${number}.jpg`, 900, 600, `hsl(${number * 90} 50% 50%)`)),
    );
    await choose(page, ...pictures, text('목록.txt', '하나'));
    await tray(page).getByText('목록.txt').waitFor();
    expect(await findViolations(page)).toEqual([]);
    await page.getByRole('button', { name: '2.jpg 빼기' }).focus();
    await page.keyboard.press('Enter');
    await waitFor(async () => (await tray(page).getByText('2.jpg').count()) === 0, { what: 'it to be taken out' });
    await fieldOf(page).press('Enter');
    await showsPicture(page, '1.jpg');

    const first = page.getByRole('button', { name: '크게 보기: 1.jpg' });
    await first.focus();
    await page.keyboard.press('Enter');
    const viewer = page.getByRole('dialog', { name: '1.jpg' });
    await viewer.getByText('2장 중 1번째').waitFor();
    expect(await findViolations(page)).toEqual([]);
    await page.keyboard.press('ArrowRight');
    await page.getByRole('dialog', { name: '3.jpg' }).getByText('2장 중 2번째').waitFor();
    await page.keyboard.press('ArrowRight');
    await page.getByRole('dialog', { name: '3.jpg' }).waitFor();
    const box = await page.locator('dialog img').last().boundingBox();
    await page.mouse.dblclick((box?.x ?? 0) + 200, (box?.y ?? 0) + 200);
    await waitFor(
      async () => ((await page.locator('dialog img').last().boundingBox())?.width ?? 0) > 2 * (box?.width ?? 0),
      {
        what: 'it to be enlarged',
      },
    );
    const download = page.waitForEvent('download');
    await page.getByRole('link', { name: '내려받기' }).click();
    expect((await download).suggestedFilename()).toBe('3.jpg');
    await page.keyboard.press('Escape');
    await waitFor(async () => (await page.getByRole('dialog').count()) === 0, { what: 'the viewer to close' });
    expect(await first.evaluate((element) => element === document.activeElement)).toBe(true);

    await page.getByRole('button', { name: '대화방 정보' }).click();
    await page.getByRole('button', { name: '사진과 파일' }).click();
    const files = page.getByRole('dialog', { name: '사진과 파일' });
    await waitFor(async () => (await files.getByRole('button', { name: /크게 보기/ }).count()) === 2, { what: 'both' });
    await files.getByRole('button', { name: '모든 파일' }).click();
    await files.getByRole('link', { name: /목록\.txt/ }).waitFor();
    expect(await findViolations(page)).toEqual([]);
  });

  it('are enlarged by two fingers, moved by one, and swiped away', async () => {
    const roomId = await kim.group(5);
    const { page, context } = await openRoom(4, roomId, { hasTouch: true, viewport: { width: 390, height: 760 } });
    await page.getByText('대화의 시작입니다').waitFor();
    const pictures = [1, 2].map((number) => photo(`${number}.jpg`, 900, 600, `hsl(${number * 90} 50% 50%)`));
    await choose(page, ...(await Promise.all(pictures)));
    await tray(page).getByText('2.jpg').waitFor();
    await page.getByRole('button', { name: '보내기' }).click();
    await showsPicture(page, '1.jpg');
    await page.getByRole('button', { name: '크게 보기: 1.jpg' }).tap();
    await page.getByRole('dialog', { name: '1.jpg' }).waitFor();

    const session = await context.newCDPSession(page);
    const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', ...points: readonly (readonly [number, number])[]) =>
      session.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) });
    const boxOf = async () => (await page.locator('dialog img').last().boundingBox()) ?? { x: 0, width: 0 };
    const before = await boxOf();
    await touch('touchStart', [180, 380], [210, 380]);
    for (let step = 1; step <= 8; step += 1) await touch('touchMove', [180 - 8 * step, 380], [210 + 8 * step, 380]);
    await touch('touchEnd', [116, 380]);
    await touch('touchEnd');
    const large = await boxOf();
    expect(large.width).toBeGreaterThan(2 * before.width);
    await touch('touchStart', [200, 380]);
    await touch('touchMove', [160, 380]);
    await touch('touchMove', [120, 380]);
    await touch('touchEnd');
    expect((await boxOf()).x).toBeLessThan(large.x - 50);
    await page.getByRole('dialog', { name: '1.jpg' }).waitFor();

    await touch('touchStart', [100, 380], [290, 380]);
    for (let step = 1; step <= 8; step += 1) await touch('touchMove', [100 + 11 * step, 380], [290 - 11 * step, 380]);
    // One finger stays, and leaves far from where it began.
    await touch('touchEnd', [188, 380]);
    await touch('touchEnd');
    await page.getByRole('dialog', { name: '1.jpg' }).waitFor();
    expect((await boxOf()).width).toBeCloseTo(before.width, 0);
    await touch('touchStart', [300, 380]);
    await touch('touchMove', [180, 380]);
    await touch('touchEnd');
    await page.getByRole('dialog', { name: '2.jpg' }).waitFor();
    await touch('touchStart', [200, 300]);
    await touch('touchMove', [200, 460]);
    await touch('touchEnd');
    await waitFor(async () => (await page.getByRole('dialog').count()) === 0, { what: 'the viewer to close' });
  });

  it.each(['in a frame', 'from an origin of its own'])('are read with a token in the address %s', async (place) => {
    const roomId = await kim.group(5);
    const ofFiles = await startTcpProxy(world.instances[1]?.url ?? '');
    const site = createServer((_request, response) => response.setHeader('content-type', 'text/html').end(page));
    await new Promise<void>((resolve) => site.listen(0, 'localhost', resolve));
    // Another site than that of the app, where no cookie goes.
    const around = `http://localhost:${(site.address() as AddressInfo).port}`;
    onTestFinished(async () => {
      await ofFiles.stop();
      site.close();
    });
    const instance = await world.start(
      place === 'in a frame' ? { FRAME_ANCESTORS: around } : { FILES_ORIGIN: new URL(ofFiles.url).origin },
    );
    const page = `<!doctype html><iframe src="${instance.url}/?room=${roomId}" width="1000" height="600"></iframe>`;
    const { name, mimeType, buffer } = await photo('호수.jpg', 900, 600, '#3a7');
    const { id } = await upload(instance, kim, roomId, { name, type: mimeType, bytes: buffer });
    await kim.http(sendFiles, { input: { roomId, attachmentIds: [id] } });
    const app = await openApp(browserOf(), {
      url: place === 'in a frame' ? around : `${instance.url}/?room=${roomId}`,
      userId: 4,
    });
    onTestFinished(() => app.context.close());
    const frame = place === 'in a frame' ? app.page.frameLocator('iframe') : app.page;
    const picture = frame.locator('article img[src*="access="]');
    await waitFor(
      () => picture.evaluateAll((images) => images.some((image) => (image as HTMLImageElement).naturalWidth > 0)),
      {
        what: 'the picture',
        timeoutMs: 20_000,
      },
    );
    if (place !== 'in a frame') expect(await picture.getAttribute('src')).toContain(ofFiles.url);
    expect(app.faults).toEqual([]);
  });

  it('arrive once although the server is killed half-way and the page is loaded anew', async () => {
    const roomId = await kim.group(5);
    const { page, context, proxy } = await openReady(4, roomId);
    const { page: ofLee } = await openReady(5, roomId);
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    const hurry = await slowDown(context, page, 800_000);
    await choose(page, await noise('큰 사진.png', 1_500));
    await tray(page).getByText('큰 사진.png').waitFor();
    await write(page, '큰 사진입니다');
    await write(page, '그 뒤의 글');
    const progress = page.getByRole('progressbar');
    await waitFor(async () => Number(await progress.getAttribute('aria-valuenow')) >= 30, { what: 'a third of it' });
    expect(Number(await progress.getAttribute('aria-valuenow'))).toBeLessThan(100);
    await world.instances[0]?.kill();
    await waitUntilStored(page, '그 뒤의 글', 'outbox');
    await page.reload();
    // As it was: with its picture from this device.
    await page.getByRole('progressbar').waitFor();
    await page.locator('article img[src^="blob:"]').waitFor();
    await hurry();
    proxy.redirect((await world.start()).url);
    await shows(ofLee, '큰 사진입니다', '그 뒤의 글');
    await showsPicture(ofLee, '큰 사진.png');
    await waitFor(async () => (await page.getByText('보내는 중').count()) === 0, { what: 'the marks to go' });
    await shows(page, '큰 사진입니다', '그 뒤의 글');
    expect(await stored(roomId)).toEqual([['큰 사진입니다', '큰 사진.png']]);
    const kept = () =>
      page.evaluate(async () => {
        const { name = '' } = (await indexedDB.databases()).find((one) => /:4$/.test(one.name ?? '')) ?? {};
        const database = await new Promise<IDBDatabase>((resolve) => {
          const opening = indexedDB.open(name);
          opening.onsuccess = () => resolve(opening.result);
        });
        const count = await new Promise<number>((resolve) => {
          const counting = database.transaction('files').objectStore('files').count();
          counting.onsuccess = () => resolve(counting.result);
        });
        database.close();
        return count;
      });
    await waitFor(async () => (await kept()) === 0, { what: 'the bytes to leave the disk' });
  });
});

async function findViolations(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { axe: tool } = window as unknown as {
      axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
    };
    const { violations } = await tool.run();
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`);
  });
}
