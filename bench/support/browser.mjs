import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { findChromium } from '../../scripts/chromium.mjs';

/** @typedef {import('playwright-core').Browser} Browser */
/** @typedef {import('playwright-core').CDPSession} Session */

export const launch = () => {
  const executablePath = findChromium();
  if (executablePath === undefined) throw new Error('Chromium is not on this machine');
  return chromium.launch({ executablePath, args: ['--no-sandbox'] });
};

/**
 * A new page of somebody who is signed in, as a platform's page would do it.
 * @param {Browser} browser
 * @param {string} token
 */
export async function visit(browser, token) {
  const context = await browser.newContext({ locale: 'ko-KR', viewport: { width: 1_080, height: 760 } });
  await context.addInitScript((text) => {
    Object.assign(window, { fairwayHost: { getToken: async () => text } });
  }, token);
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  return { page, session, close: () => context.close() };
}

/**
 * What the browser counts for a page: TaskDuration in s, JSHeapUsedSize in bytes, Nodes, JSEventListeners and others.
 * @param {Session} session
 * @returns {Promise<Record<string, number>>}
 */
export async function readMetrics(session) {
  const { metrics } = await session.send('Performance.getMetrics');
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
}

/** `BENCH_PROFILE=<folder>`: what the page does while `run` lasts is written there as a CPU profile. */
const profileFolder = process.env['BENCH_PROFILE'];

/**
 * @template Result
 * @param {Session} session
 * @param {string} name
 * @param {() => Promise<Result>} run
 * @returns {Promise<Result>}
 */
export async function profiled(session, name, run) {
  if (profileFolder === undefined) return run();
  await session.send('Profiler.enable');
  await session.send('Profiler.start');
  const result = await run();
  const { profile } = await session.send('Profiler.stop');
  mkdirSync(profileFolder, { recursive: true });
  writeFileSync(join(profileFolder, `${name}.cpuprofile`), JSON.stringify(profile));
  return result;
}
