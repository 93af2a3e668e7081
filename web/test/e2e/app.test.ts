import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import type { TestClient } from '../../../test/support/client.js';
import { markRead, oneRoom, sendMessage } from '../../../test/support/operations.js';
import { describeWithBrowser } from '../../../test/support/requirements.js';
import { waitFor } from '../../../test/support/wait-for.js';
import { useWorld } from '../../../test/support/world.js';
import { startHttpProxy } from './http-proxy.js';
import {
  distanceFromEnd,
  fieldOf,
  openApp,
  readMessages,
  readStored,
  shows,
  useApps,
  waitUntilStored,
  write,
} from './open-app.js';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const pictures = 'https://pictures.example.com';

describeWithBrowser('the chat app', () => {
  const world = useWorld({ instances: 2, env: { IMAGE_ORIGINS: pictures } });
  const apps = useApps(world);
  const { open, openRoom } = apps;
  let kim: TestClient;
  let lee: TestClient;

  beforeAll(async () => {
    [kim, lee] = [await world.client(4), await world.client(5)];
    // Who has never been there is not found by name.
    await (await world.client(6)).group(4);
  });

  const stored = (roomId: string) => readStored(world, roomId);

  it('shows two people what each of them writes, that one types, and what was read', async () => {
    const roomId = await kim.group(5);
    const { page: ofKim } = await openRoom(4, roomId);
    const { page: ofLee } = await openRoom(5, roomId);
    await fieldOf(ofKim).waitFor();
    // A signal needs a socket, which may take a moment.
    await waitFor(
      async () => {
        await fieldOf(ofLee).pressSequentially('안');
        return (await ofKim.getByText('입력하는 중…').count()) > 0;
      },
      { what: 'the other one to see the typing', pollMs: 300 },
    );
    await write(ofLee, '안녕하세요');
    await shows(ofKim, '안녕하세요');
    await write(ofKim, '반갑습니다');
    await shows(ofLee, '안녕하세요', '반갑습니다');
    // The one who is in front of the page has read it: the number beside the message is gone.
    await ofLee.bringToFront();
    await waitFor(async () => (await ofKim.getByText('1명이 읽지 않음').count()) === 0, { what: 'the mark to move' });
  });

  it('lists the rooms in the order of their activity, with what is unread, and finds them by title', async () => {
    const first = await lee.group(4);
    const second = await lee.group(4);
    await lee.send(first, '먼저');
    await lee.send(second, '나중');
    const { page } = await open(4);
    const rows = page.locator('nav a');
    await rows.first().getByText('나중').waitFor();
    await lee.send(first, '다시');
    await rows.first().getByText('다시').waitFor();
    await rows.first().getByText('읽지 않은 메시지 2개').waitFor();
    await waitFor(async () => /^\(\d+\) /.test(await page.title()), { what: 'the number in the title' });
    await page.getByRole('searchbox').fill('없는 방');
    await page.getByText('‘없는 방’에 맞는 대화방이 없습니다').waitFor();
  });

  it('keeps what is written while the server is away and over a reload, and sends it once, in order', async () => {
    const roomId = await kim.group(5);
    const { page, proxy } = await openRoom(4, roomId);
    // It is known who writes.
    await page.getByText('대화의 시작입니다').waitFor();
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    await proxy.cut();
    for (const text of ['하나', '둘', '셋']) await write(page, text);
    await waitFor(async () => (await page.getByText('보내는 중').count()) === 3, {
      what: 'three messages on their way',
    });
    await waitUntilStored(page, '셋', 'outbox');
    await page.reload();
    await waitFor(async () => (await page.getByText('보내는 중').count()) === 3, { what: 'them after a reload' });
    await proxy.restore();
    await page
      .getByRole('button', { name: '지금 연결' })
      .first()
      .click({ timeout: 5_000 })
      .catch(() => undefined);
    await waitFor(async () => (await page.getByText('보내는 중').count()) === 0, { what: 'them to be sent' });
    await shows(page, '하나', '둘', '셋');
    expect(await stored(roomId)).toEqual(['하나', '둘', '셋']);
  });

  it('sends exactly one whole message at Enter while a syllable is composed', async () => {
    const roomId = await kim.group(5);
    const { page, context } = await openRoom(4, roomId);
    await fieldOf(page).click();
    const session = await context.newCDPSession(page);
    for (const text of ['안', '안녕', '안녕하', '안녕하세', '안녕하세요']) {
      await session.send('Input.imeSetComposition', { text, selectionStart: text.length, selectionEnd: text.length });
    }
    const key = { key: 'Process', code: 'Enter', windowsVirtualKeyCode: 229 };
    await session.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', ...key });
    await session.send('Input.insertText', { text: '안녕하세요' });
    await session.send('Input.dispatchKeyEvent', { type: 'keyUp', ...key });
    await shows(page, '안녕하세요');
    expect(await fieldOf(page).inputValue()).toBe('');
    await waitFor(async () => (await stored(roomId)).length === 1, { what: 'the message' });
    expect(await stored(roomId)).toEqual(['안녕하세요']);
  });

  it('does all with the keyboard alone: send, edit, delete, invite, leave', async () => {
    const roomId = await kim.group(5);
    const { page } = await openRoom(4, roomId);
    await fieldOf(page).waitFor();
    await page.keyboard.type('첫 글');
    await page.keyboard.press('Enter');
    await shows(page, '첫 글');
    await waitFor(async () => (await stored(roomId)).length === 1, { what: 'the message' });
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('End');
    await page.keyboard.type('!');
    await page.keyboard.press('Enter');
    await waitFor(async () => (await stored(roomId))[0] === '첫 글!', { what: 'the edit' });
    const menu = page.getByRole('button', { name: '메시지 메뉴: 첫 글!' });
    await menu.focus();
    await page.keyboard.press('Enter');
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: '삭제', exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.getByText('삭제된 메시지입니다').waitFor();
    await page.getByRole('button', { name: '대화방 정보' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByRole('button', { name: '초대' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByRole('textbox').focus();
    await page.keyboard.type('박영희');
    await page.getByRole('dialog').getByRole('button', { name: '박영희' }).waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByRole('button', { name: '초대' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('log').getByText('박영희님을 초대했습니다').waitFor();
    await page.getByRole('dialog').getByRole('button', { name: '나가기' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByRole('button', { name: '나가기', exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.getByText('대화를 골라 주세요').waitFor();
  });

  it('opens the message of a link in its surroundings, and leads back to the newest ones', async () => {
    const roomId = await kim.group(5);
    const ids: string[] = [];
    for (let number = 1; number <= 120; number += 1) ids.push((await lee.send(roomId, `글 ${number}`)).message.id);
    const { page } = await open(4, `?room=${roomId}&message=${ids[9]}`);
    await page.locator(`[data-message="${ids[9]}"]`).waitFor();
    await waitFor(
      () =>
        page.evaluate((id) => {
          const row = document.querySelector(`[data-message="${id}"]`)?.getBoundingClientRect();
          const log = document.querySelector('[role=log]')?.getBoundingClientRect();
          return row !== undefined && log !== undefined && row.top >= log.top && row.bottom <= log.bottom;
        }, ids[9]),
      { what: 'the message in view' },
    );
    expect(await readMessages(page)).not.toContain('글 120');
    await page
      .getByRole('button', { name: '최근 메시지로' })
      .or(page.getByRole('button', { name: '새 메시지' }))
      .first()
      .click();
    await shows(page, '글 119', '글 120');
    expect(page.url()).not.toContain('message=');
  });

  it('opens at what is unread, also far back and at the second visit, and marks only what is in view', async () => {
    const roomId = await kim.group(5);
    for (let number = 1; number <= 90; number += 1) await lee.send(roomId, `글 ${number}`);
    const { page } = await openRoom(4, roomId);
    await page.getByText('여기까지 읽었습니다').waitFor();
    await waitFor(async () => (await readMessages(page)).includes('글 1'), { what: 'the first unread message' });
    const unread = async () => (await kim.http(oneRoom, { id: roomId })).room?.unreadCount ?? Number.NaN;
    await waitFor(async () => (await unread()) < 90, { what: 'the first marks' });
    expect(await unread()).toBeGreaterThan(50);

    await page.getByRole('button', { name: /새 메시지|최근 메시지로/ }).click();
    await shows(page, '글 89', '글 90');
    await waitFor(async () => (await unread()) === 0, { what: 'all to be read' });
    const other = await kim.group(5);
    await page.locator(`nav a[href*="${other}"]`).click();
    await page.getByText('대화의 시작입니다').waitFor();
    for (let number = 91; number <= 130; number += 1) await lee.send(roomId, `글 ${number}`);
    await page.locator(`nav a[href*="${roomId}"]`).click();
    await waitFor(
      async () => (await readMessages(page)).includes('글 91') && !(await readMessages(page)).includes('글 130'),
      {
        what: 'the second line',
      },
    );
  });

  it('shows an own message at once, wherever in the history one is', async () => {
    const roomId = await kim.group(5);
    const { message } = await lee.send(roomId, '글 0');
    for (let number = 1; number <= 120; number += 1) await lee.send(roomId, `글 ${number}`);
    const { page } = await open(4, `?room=${roomId}&message=${message.id}`);
    await page.locator(`[data-message="${message.id}"]`).waitFor();
    await write(page, '여기요');
    await shows(page, '글 120', '여기요');
  });

  it('is at its end after a message of many lines, and follows from there', async () => {
    const roomId = await kim.group(5);
    for (let number = 1; number <= 20; number += 1) await lee.send(roomId, `글 ${number}`);
    const { page } = await openRoom(4, roomId);
    await page.getByText('글 1', { exact: true }).waitFor();
    const text = '하나\n둘\n셋\n넷\n다섯\n여섯';
    await write(page, text);
    await shows(page, text);
    await waitFor(async () => (await distanceFromEnd(page)) < 2, { what: 'the end' });
    for (let number = 21; number <= 25; number += 1) await lee.send(roomId, `글 ${number}`);
    await shows(page, '글 25');
    await waitFor(async () => (await distanceFromEnd(page)) < 2, { what: 'the new end' });
  });

  it('follows a flood at its end and draws only what is in view of it, and what is above once it is over', async () => {
    const roomId = await kim.group(5);
    for (let number = 1; number < 40; number += 1) await lee.send(roomId, `글 ${number}`);
    await kim.http(markRead, { input: { roomId, messageId: (await lee.send(roomId, '글 40')).message.id } });
    const { page } = await openRoom(4, roomId);
    await shows(page, '글 40');
    const drawn = () => page.locator('[role=log] [data-message]').count();
    await waitFor(async () => (await drawn()) > 25, { what: 'what is above the view' });
    const watched = await page.evaluateHandle(watchEnd);
    for (let number = 41; number <= 640; number += 1) await lee.send(roomId, `글 ${number}`);
    await shows(page, '글 640');
    const { fewest, gap, distance } = await watched.evaluate((watch) => watch.stop());
    expect(fewest).toBeLessThan(25);
    expect(gap).toBeLessThanOrEqual(0);
    expect(distance).toBeLessThan(2);
    await waitFor(async () => (await drawn()) > 25, { what: 'what is above the view' });
  });

  it('keeps an edit that is not finished while another room is open, and folds what is very long', async () => {
    const [roomId, other] = [await kim.group(5), await kim.group(5)];
    await kim.send(roomId, `${'줄\n'.repeat(200)}끝`);
    const { page } = await openRoom(4, roomId);
    await page.getByRole('button', { name: '모두 보기' }).waitFor();
    await kim.send(roomId, '고칠 것');
    await shows(page, '고칠 것');
    await fieldOf(page).press('ArrowUp');
    await fieldOf(page).fill('고치는 중');
    await page.locator(`nav a[href*="${other}"]`).click();
    await page.getByText('대화의 시작입니다').waitFor();
    await page.locator(`nav a[href*="${roomId}"]`).click();
    await waitFor(async () => (await fieldOf(page).inputValue()) === '고치는 중', { what: 'the edit' });
    await fieldOf(page).press('Enter');
    await waitFor(async () => (await stored(roomId)).at(-1) === '고치는 중', { what: 'the edit to be stored' });
  });

  it('puts an emoji from its own picker at the cursor', async () => {
    const roomId = await kim.group(5);
    const { page, faults } = await openRoom(4, roomId);
    await fieldOf(page).fill('앞뒤');
    await fieldOf(page).press('ArrowLeft');
    await page.getByRole('button', { name: '이모지' }).click();
    await page.locator('[frimousse-emoji]:visible').first().click();
    const text = await fieldOf(page).inputValue();
    expect(text).toMatch(/^앞\p{Extended_Pictographic}.*뒤$/u);
    await page.keyboard.press('Enter');
    await shows(page, text);
    expect(faults).toEqual([]);
  });

  it('sends over HTTP where no WebSocket gets through, and shows what comes', async () => {
    const roomId = await kim.group(5);
    const proxy = await startHttpProxy(world.instances[0]?.url ?? '');
    const app = await openApp(apps.browser, { url: proxy.url, userId: 4, path: `?room=${roomId}` });
    onTestFinished(async () => {
      await app.context.close();
      proxy.stop();
    });
    await fieldOf(app.page).waitFor();
    await write(app.page, '소켓 없이');
    await waitFor(async () => (await stored(roomId)).length === 1, { what: 'the message' });
    await lee.send(roomId, '받았어요');
    await shows(app.page, '소켓 없이', '받았어요');
  });

  it('shows 10,000 messages without moving what is read', async () => {
    const roomId = await kim.group(5);
    await world.database.query(
      `INSERT INTO chat_messages (id, room_id, seq, changed_seq, sender_id, sender_name, type, content, created_at)
        SELECT gen_random_uuid(), $1, n, n, 4 + n % 2, 'x', 'TEXT', repeat('말 ', 1 + n % 60) || n,
          now() - (10002 - n) * interval '1 minute' FROM generate_series(2, 10001) n`,
      [roomId],
    );
    await world.database.query('UPDATE chat_rooms SET seq = 10001, published_seq = 10001 WHERE id = $1', [roomId]);
    // What is unread would be shown first, a moment after the room has opened.
    await world.database.query('UPDATE chat_room_members SET last_read_seq = 10001 WHERE room_id = $1', [roomId]);
    const { page } = await openRoom(4, roomId);
    await page.locator('[role=log] [data-message]').first().waitFor();
    const jumps = await page.evaluate(async () => {
      const log = document.querySelector('[role=log]') as HTMLElement;
      const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
      let worst = 0;
      for (let step = 0; step < 400; step += 1) {
        const rows = [...log.querySelectorAll<HTMLElement>('[data-message]')];
        const middle = log.getBoundingClientRect().top + log.clientHeight / 2;
        const kept = rows.find((row) => row.getBoundingClientRect().bottom > middle);
        const id = kept?.dataset['message'];
        const before = kept?.getBoundingClientRect().top ?? 0;
        const scrolled = log.scrollTop;
        // Nothing scrolls here: what is in the middle must not move, whatever is loaded and measured.
        await frame();
        await frame();
        const row = log.querySelector(`[data-message="${id}"]`);
        const moved = row === null ? 0 : row.getBoundingClientRect().top - before;
        if (Math.abs(log.scrollTop - scrolled) < 1 || Math.abs(moved) > 1) worst = Math.max(worst, Math.abs(moved));
        log.scrollBy(0, -600);
        await frame();
      }
      return worst;
    });
    expect(jumps).toBeLessThanOrEqual(1);
  });

  it('keeps what is read in its place when a picture above it comes late', async () => {
    const roomId = await kim.group(5);
    await lee.send(roomId, '그림 앞');
    await lee.http(sendMessage, { input: { id: randomUUID(), roomId, type: 'IMAGE', content: `${pictures}/a.svg` } });
    for (let number = 1; number <= 30; number += 1) await lee.send(roomId, `글 ${number}`);
    await kim.http(markRead, { input: { roomId, messageId: (await lee.send(roomId, '끝')).message.id } });
    const { page, context } = await open(4);
    let answer = () => {};
    const isAsked = new Promise<void>((resolve) => {
      void context.route(`${pictures}/**`, async (route) => {
        resolve();
        await new Promise<void>((then) => {
          answer = then;
        });
        await route.fulfill({
          contentType: 'image/svg+xml',
          body: '<svg xmlns="http://www.w3.org/2000/svg" width="900" height="1600"/>',
        });
      });
    });
    await page.goto(`${new URL(page.url()).origin}/?room=${roomId}`);
    await shows(page, '글 30', '끝');
    // Up, until the picture is just above what is in view, and is asked for.
    const log = page.getByRole('log');
    const rowOf = (text: string) =>
      log.locator('[data-message]').filter({ has: page.getByText(text, { exact: true }) });
    await waitFor(
      async () => {
        await log.evaluate((element) => element.scrollBy(0, -200));
        return (await rowOf('그림 앞').count()) > 0;
      },
      { what: 'the beginning', pollMs: 50 },
    );
    await isAsked;
    await rowOf('글 1').evaluate((row) => row.scrollIntoView({ block: 'start' }));
    const topOf = async (text: string) => (await rowOf(text).boundingBox())?.y ?? Number.NaN;
    const before = await topOf('글 3');
    answer();
    await waitFor(
      () => page.evaluate(() => document.querySelector<HTMLImageElement>('[role=log] img')?.naturalWidth === 900),
      {
        what: 'the picture',
      },
    );
    expect(Math.abs((await topOf('글 3')) - before)).toBeLessThanOrEqual(1);
  });

  it('copies a selection that goes over several messages', async () => {
    const roomId = await kim.group(5);
    for (const text of ['첫째', '둘째', '셋째']) await lee.send(roomId, text);
    const { page, context } = await openRoom(4, roomId);
    await shows(page, '첫째', '둘째', '셋째');
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.evaluate(() => {
      const textOf = (wanted: string) =>
        [...document.querySelectorAll('[role=log] span[dir=auto]')].find(({ textContent }) => textContent === wanted);
      const range = document.createRange();
      range.setStartBefore(textOf('첫째') as Node);
      range.setEndAfter(textOf('셋째') as Node);
      getSelection()?.removeAllRanges();
      getSelection()?.addRange(range);
    });
    await page.keyboard.press('Control+C');
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    expect(copied.split('\n').filter((line) => /^[첫둘셋]째$/.test(line))).toEqual(['첫째', '둘째', '셋째']);
  });

  it.each([
    ['on a desktop', {}],
    ['in the dark', { colorScheme: 'dark' as const }],
    ['in English', { locale: 'en-US' }],
    ['on a phone', { viewport: { width: 390, height: 760 }, hasTouch: true, isMobile: true }],
  ])('has no violation of axe %s', async (_name, options) => {
    const roomId = await kim.group(5);
    await lee.send(roomId, 'https://example.com 안녕하세요');
    await kim.http(markRead, { input: { roomId, messageId: (await lee.send(roomId, '읽은 것')).message.id } });
    await lee.send(roomId, '읽지 않은 것');
    const { page } = await openRoom(4, roomId, options);
    await page.locator('[role=log] [data-message]').first().waitFor();
    await page.evaluate(axe);
    const violations = await page.evaluate(async () => {
      const { violations } = await (window as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run();
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`);
    });
    expect(violations).toEqual([]);
  });

  it('loads nothing from anywhere else, and breaks no rule of its own page', () => {
    const ofRules = apps.opened.flatMap(({ faults }) =>
      faults.filter((fault) => /Content Security|Refused to/.test(fault)),
    );
    expect(ofRules).toEqual([]);
  });
});

interface AxeResults {
  readonly violations: readonly { readonly id: string; readonly nodes: readonly { readonly html: string }[] }[];
}

/** In the page, frame by frame: the fewest rows in the document, how far the first began below the view, and how far the end was. */
function watchEnd() {
  const log = document.querySelector('[role=log]') as HTMLElement;
  const worst = { fewest: Number.POSITIVE_INFINITY, gap: Number.NEGATIVE_INFINITY, distance: 0 };
  let frame = requestAnimationFrame(function watch() {
    const rows = [...log.querySelectorAll('[data-message]')];
    const tops = rows.map((row) => row.getBoundingClientRect().top);
    worst.fewest = Math.min(worst.fewest, rows.length);
    worst.gap = Math.max(worst.gap, Math.min(...tops) - log.getBoundingClientRect().top);
    worst.distance = Math.max(worst.distance, log.scrollHeight - log.scrollTop - log.clientHeight);
    frame = requestAnimationFrame(watch);
  });
  return {
    stop: () => {
      cancelAnimationFrame(frame);
      return worst;
    },
  };
}
