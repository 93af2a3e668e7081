import { setTimeout as sleep } from 'node:timers/promises';
import { setUp } from '../scripts/setup.mjs';
import { launch, profiled, readMetrics, visit } from './support/browser.mjs';
import { seedRooms, seedUsers, tokenOf } from './support/seed.mjs';
import { startFairway } from './support/server-process.mjs';
import { startWorker } from './support/worker.mjs';

/** @typedef {import('playwright-core').Browser} Browser */
/** @typedef {{ shell: number, list: number }} FirstLoad in ms */
/** @typedef {{ frame: number, work: number, longest: number, late: number }} Stream */
/** @typedef {{ heap: number, nodes: number, listeners: number }} Growth */

const viewer = 1;
const writers = [2, 3, 4, 5, 6];
const messagesPerSecond = 100;

/**
 * Fast 3G, as Lighthouse and WebPageTest have it: 1.6 Mbit/s down, 0.75 up, 150 ms there and back.
 */
const fast3G = { offline: false, latency: 150, downloadThroughput: 200_000, uploadThroughput: 93_750 };

/**
 * The chat app in Chromium: its first load over a slow line, a room in which 100 messages a second arrive on a processor that
 * is four times slower, and what 200 changes of room leave behind. The browser shares the machine with the servers.
 * @param {import('./support/results.mjs').BenchContext} context
 * @returns {Promise<import('./support/results.mjs').Measurement[]>}
 */
export async function run({ stack, rounds, quick }) {
  await setUp({ web: true });
  const database = await stack.createDatabase();
  await seedUsers(database, [viewer, ...writers]);
  const roomIds = await seedRooms(database, { rooms: 20, memberIds: [viewer, ...writers], messages: 200 });
  const server = await startFairway(stack, database.url);
  const browser = await launch();
  /** @type {FirstLoad[]} */
  const loads = [];
  /** @type {Stream[]} */
  const usual = [];
  /** @type {Stream[]} */
  const slow = [];
  /** @type {Growth[]} */
  const growths = [];
  for (let round = 0; round < rounds; round += 1) {
    const url = `http://127.0.0.1:${server.port}/`;
    loads.push(await loadFirst(browser, url));
    const [roomId = ''] = roomIds;
    const busy = { roomId, port: server.port, ms: quick ? 3_000 : 10_000 };
    usual.push(await stream(browser, { ...busy, slowdown: 1 }));
    slow.push(await stream(browser, { ...busy, slowdown: 4 }));
    growths.push(await changeRooms(browser, url, quick ? 40 : 200));
  }
  await browser.close();
  await server.stop();
  await database.drop();
  /** @param {string} title @param {string} unit @param {number[]} samples @param {number} [atMost] */
  const measurement = (title, unit, samples, atMost) => ({
    title: `the chat app, ${title}`,
    unit,
    samples: { Fairway: samples },
    bars: atMost === undefined ? [] : [{ atMost }],
  });
  /** @param {string} title @param {Stream[]} streams @param {boolean} isBar */
  const ofStream = (title, streams, isBar) => [
    measurement(
      `${title}, a frame`,
      'ms',
      streams.map(({ frame }) => frame),
      isBar ? 17 : undefined,
    ),
    measurement(
      `${title}, work of the page a frame`,
      'ms',
      streams.map(({ work }) => work),
    ),
    measurement(
      `${title}, the longest task`,
      'ms',
      streams.map(({ longest }) => longest),
      isBar ? 100 : undefined,
    ),
    measurement(
      `${title}, tasks over 100 ms`,
      'in 10 s',
      streams.map(({ late }) => late),
      isBar ? 0 : undefined,
    ),
  ];
  return [
    measurement(
      'Fast 3G, the shell',
      'ms',
      loads.map(({ shell }) => shell),
      1_500,
    ),
    measurement(
      'Fast 3G, the room list',
      'ms',
      loads.map(({ list }) => list),
      4_000,
    ),
    ...ofStream(`${messagesPerSecond} messages a second`, usual, false),
    ...ofStream(`${messagesPerSecond} messages a second, processor 4 times slower`, slow, true),
    measurement(
      'heap that 200 changes of room leave',
      'MB',
      growths.map(({ heap }) => heap),
      2,
    ),
    measurement(
      'nodes that 200 changes of room leave',
      'nodes',
      growths.map(({ nodes }) => nodes),
      50,
    ),
    measurement(
      'listeners that 200 changes of room leave',
      'listeners',
      growths.map(({ listeners }) => listeners),
      20,
    ),
  ];
}

/** @param {Browser} browser @param {string} url @returns {Promise<FirstLoad>} */
async function loadFirst(browser, url) {
  const { page, session, close } = await visit(browser, await tokenOf(viewer));
  await session.send('Network.enable');
  await session.send('Network.emulateNetworkConditions', fast3G);
  const start = performance.now();
  const going = page.goto(url);
  await page.locator('nav a').first().waitFor();
  const list = performance.now() - start;
  await going;
  const shell = await page.evaluate(() => performance.getEntriesByName('first-paint')[0]?.startTime ?? Number.NaN);
  await close();
  return { shell, list };
}

/**
 * A room in which messages arrive without an end, as somebody sees it who is at its end.
 * @param {Browser} browser
 * @param {{ roomId: string, port: number, slowdown: number, ms: number }} options
 * @returns {Promise<Stream>}
 */
async function stream(browser, { roomId, port, slowdown, ms }) {
  const { page, session, close } = await visit(browser, await tokenOf(viewer));
  await page.goto(`http://127.0.0.1:${port}/?room=${roomId}`);
  await page.locator('[role=log] [data-message]').first().waitFor();
  await page
    .locator('button', { hasText: /새 메시지|최근 메시지로/ })
    .click({ timeout: 2_000 })
    .catch(() => undefined);
  const writing = startWorker('writers');
  await writing.call('start', port, await Promise.all(writers.map(tokenOf)), roomId, messagesPerSecond);
  await session.send('Emulation.setCPUThrottlingRate', { rate: slowdown });
  await session.send('Performance.enable');
  await sleep(2_000);
  const before = await readMetrics(session);
  const { frames, tookMs, tasks } = await profiled(session, `app-${slowdown}`, () => page.evaluate(watchFrames, ms));
  const after = await readMetrics(session);
  await writing.stop();
  await close();
  return {
    frame: tookMs / frames,
    work: (((after['TaskDuration'] ?? 0) - (before['TaskDuration'] ?? 0)) * 1_000) / frames,
    longest: Math.max(0, ...tasks),
    late: tasks.filter((task) => task > 100).length,
  };
}

/** In the page: how many frames were drawn in this time, and how long each task took that was longer than 50 ms. @param {number} ms */
async function watchFrames(ms) {
  /** @type {number[]} */
  const tasks = [];
  /** @param {PerformanceEntryList} entries */
  const note = (entries) => {
    for (const { duration } of entries) tasks.push(duration);
  };
  const observer = new PerformanceObserver((list) => note(list.getEntries()));
  observer.observe({ type: 'longtask' });
  let frames = 0;
  const start = performance.now();
  const tookMs = await new Promise((/** @type {(ms: number) => void} */ resolve) => {
    const count = () => {
      frames += 1;
      const passed = performance.now() - start;
      if (passed < ms) requestAnimationFrame(count);
      else resolve(passed);
    };
    requestAnimationFrame(count);
  });
  note(observer.takeRecords());
  observer.disconnect();
  return { frames, tookMs, tasks };
}

/**
 * Opens one room after the other, and counts what is left of them.
 * @param {Browser} browser
 * @param {string} url
 * @param {number} changes
 * @returns {Promise<Growth>}
 */
async function changeRooms(browser, url, changes) {
  const { page, session, close } = await visit(browser, await tokenOf(viewer));
  await page.goto(url);
  await page.locator('nav a').first().waitFor();
  await session.send('Performance.enable');
  /** @param {number} count */
  const change = async (count) => {
    for (let number = 0; number < count; number += 1) {
      // Four rooms in turn: the client keeps what it knows of the newest rooms.
      await page
        .locator('nav a')
        .nth(number % 4)
        .click();
      await page.locator('[role=log] [data-message]').first().waitFor();
    }
    // What is kept for a moment is let go.
    await sleep(6_000);
    await session.send('HeapProfiler.collectGarbage');
    return readMetrics(session);
  };
  const before = await change(20);
  const after = await change(changes);
  await close();
  /** @param {string} name */
  const growth = (name) => (after[name] ?? 0) - (before[name] ?? 0);
  return {
    heap: growth('JSHeapUsedSize') / 2 ** 20,
    nodes: growth('Nodes'),
    listeners: growth('JSEventListeners'),
  };
}
