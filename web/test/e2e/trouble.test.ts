import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, it } from 'vitest';
import type { TestClient } from '../../../test/support/client.js';
import { describeWithBrowser } from '../../../test/support/requirements.js';
import { waitFor } from '../../../test/support/wait-for.js';
import { useWorld } from '../../../test/support/world.js';
import {
  distanceFromEnd,
  fieldOf,
  readMessages,
  readStored,
  shows,
  useApps,
  waitUntilStored,
  write,
} from './open-app.js';

describeWithBrowser('the chat app in trouble', () => {
  const world = useWorld({ instances: 2 });
  const { openRoom } = useApps(world);
  let kim: TestClient;
  let lee: TestClient;

  beforeAll(async () => {
    // At the instance that lives on.
    [kim, lee] = [await world.client(4, 1), await world.client(5, 1)];
  });

  it('delivers from the other tab what a closed tab has written, and shows it once in each', async () => {
    const roomId = await kim.group(5);
    const { page: first, context, proxy } = await openRoom(4, roomId);
    await first.getByText('대화의 시작입니다').waitFor();
    await first.waitForFunction(() => navigator.serviceWorker.controller !== null);
    const second = await context.newPage();
    await second.goto(first.url());
    await second.getByText('대화의 시작입니다').waitFor();
    await proxy.cut();
    for (const text of ['하나', '둘', '셋']) await write(first, text);
    await shows(second, '하나', '둘', '셋');
    await waitUntilStored(first, '셋', 'outbox');
    await first.close();
    await write(second, '넷');
    await proxy.restore();
    await waitFor(async () => (await second.getByText('보내는 중').count()) === 0, { what: 'all to be sent' });
    await shows(second, '하나', '둘', '셋', '넷');
    expect(await readStored(world, roomId)).toEqual(['하나', '둘', '셋', '넷']);

    // Both write at once, and both show all of it in one order.
    const third = await context.newPage();
    await third.goto(second.url());
    await shows(third, '하나', '둘', '셋', '넷');
    await Promise.all([write(second, '다섯'), write(third, '여섯')]);
    await waitFor(async () => (await readStored(world, roomId)).length === 6, { what: 'both' });
    const all = await readStored(world, roomId);
    await Promise.all([shows(second, ...all), shows(third, ...all)]);
  });

  it('sends what the only tab had written before it was closed, once the app is opened again', async () => {
    const roomId = await kim.group(5);
    const { page, context, proxy } = await openRoom(4, roomId);
    await page.getByText('대화의 시작입니다').waitFor();
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    const address = page.url();
    await proxy.cut();
    for (const text of ['하나', '둘']) await write(page, text);
    await waitUntilStored(page, '둘', 'outbox');
    await page.close();
    await proxy.restore();
    const again = await context.newPage();
    await again.goto(address);
    await shows(again, '하나', '둘');
    await waitFor(async () => (await readStored(world, roomId)).length === 2, { what: 'both to be sent' });
    expect(await readStored(world, roomId)).toEqual(['하나', '둘']);
    await waitFor(async () => (await again.getByText('보내는 중').count()) === 0, { what: 'the marks to go' });
  });

  it.each([
    [10, 10],
    [3, 12],
    [12, 0],
  ])('stays at the end when %i own messages and %i of others come after a cut', async (mine, theirs) => {
    const roomId = await kim.group(5);
    const { page, proxy } = await openRoom(4, roomId);
    await page.getByText('대화의 시작입니다').waitFor();
    for (let number = 1; number <= 12; number += 1) await lee.send(roomId, `앞 ${number}`);
    await shows(page, '앞 12');
    await proxy.cut();
    for (let number = 1; number <= mine; number += 1) await write(page, `제 글 ${number}`);
    for (let number = 1; number <= theirs; number += 1) await lee.send(roomId, `글 ${number}`);
    await proxy.restore();
    await waitFor(async () => (await readStored(world, roomId)).length === 12 + mine + theirs, { what: 'all' });
    await shows(page, (await readStored(world, roomId)).at(-1) ?? '');
    await lee.send(roomId, '끝');
    await shows(page, '끝');
    await waitFor(async () => (await distanceFromEnd(page)) < 2, { what: 'the end' });
    expect(await page.getByRole('button', { name: /새 메시지|최근 메시지로/ }).count()).toBe(0);
  });

  it('stores again what is written after the browser has lost its databases', async () => {
    const roomId = await kim.group(5);
    const { page, proxy } = await openRoom(4, roomId);
    await page.getByText('대화의 시작입니다').waitFor();
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    await page.evaluate(async () => {
      for (const { name = '' } of await indexedDB.databases()) indexedDB.deleteDatabase(name);
    });
    await proxy.cut();
    for (const text of ['하나', '둘']) await write(page, text);
    await waitUntilStored(page, '둘', 'outbox');
    await page.reload();
    await proxy.restore();
    await waitFor(async () => (await readStored(world, roomId)).length === 2, { what: 'both' });
    expect(await readStored(world, roomId)).toEqual(['하나', '둘']);
  });

  it('goes on with a server that is newer than it is', async () => {
    const roomId = await kim.group(5);
    const { page, context, faults } = await openRoom(4, roomId);
    // What it has never heard of: an event, a type of message, a code of a SYSTEM message.
    await context.routeWebSocket(/graphql/, (socket) => {
      socket.connectToServer().onMessage((data) => socket.send(toNewer(String(data))));
    });
    await context.route('**/graphql', async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, body: toNewer(await answer.text()) });
    });
    await page.reload();
    await fieldOf(page).waitFor();
    await lee.send(roomId, '새 사건');
    await shows(page, '새 사건');
    await lee.send(roomId, '새 종류');
    await shows(page, '새 사건', '새 종류');
    await lee.send(roomId, '그 뒤');
    await write(page, '여기서도');
    await shows(page, '새 사건', '새 종류', '그 뒤', '여기서도');
    expect(faults.filter((fault) => !/WebSocket|Failed to load/.test(fault))).toEqual([]);
  });

  it('keeps what is written while the server is dead for ten seconds, and sends it once, in order', async () => {
    const roomId = await kim.group(5);
    const { page, proxy } = await openRoom(4, roomId);
    const { page: ofLee } = await openRoom(5, roomId);
    await page.getByText('대화의 시작입니다').waitFor();
    await write(page, '앞');
    await shows(ofLee, '앞');
    const killed = Date.now();
    await world.instances[0]?.kill();
    for (const text of ['하나', '둘', '셋']) await write(page, text);
    await waitFor(async () => (await page.getByText('보내는 중').count()) === 3, { what: 'three on their way' });
    await lee.send(roomId, '그동안');
    await sleep(10_000 - (Date.now() - killed));
    expect(await page.getByText('보내는 중').count()).toBe(3);
    proxy.redirect((await world.start()).url);
    await shows(ofLee, '앞', '그동안', '하나', '둘', '셋');
    await shows(page, '앞', '그동안', '하나', '둘', '셋');
    await waitFor(async () => (await page.getByText('보내는 중').count()) === 0, { what: 'the marks to go' });
    expect(await readStored(world, roomId)).toEqual(['앞', '그동안', '하나', '둘', '셋']);
    expect((await readMessages(page)).filter((text) => text === '둘')).toHaveLength(1);
  });
});

/** As a later server would answer: what is named so in the text is of a kind that does not exist yet. */
const toNewer = (text: string): string =>
  JSON.stringify(
    JSON.parse(text, (_key, value) => {
      const { __typename, seq, epoch, message, content, code } = value ?? {};
      if (__typename === 'MessageAdded' && message.content === '새 사건')
        return { __typename: 'MessagePinned', seq, epoch };
      if (content === '새 종류') return { ...value, type: 'VOICE' };
      return code === 'ROOM_CREATED' ? { ...value, code: 'ROOM_FOUNDED' } : value;
    }),
  );
