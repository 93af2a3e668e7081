import { planDay, profiles } from './support/day-profile.mjs';
import { peerName, startSide } from './support/day-sides.mjs';
import { summarize } from './support/statistics.mjs';

/** @typedef {{ list: number, room: number, message: number }} Visit in ms */

const things = {
  list: 'first list',
  room: 'first room, live, with members and page',
  message: 'first message, back on its own device',
};

/**
 * Somebody opens the app, first with processes that have served nobody yet, and then with warm ones: the list, a room, a
 * message.
 * @param {import('./support/results.mjs').BenchContext} context
 * @returns {Promise<import('./support/results.mjs').Measurement[]>}
 */
export async function run({ stack, rounds, quick }) {
  const day = planDay(profiles.club);
  const visitors = day.userIds.slice(0, quick ? 40 : 200);
  /** @type {Record<string, Record<string, number[]>>} */
  const samples = {};
  for (let round = 0; round < rounds; round += 1) {
    for (const name of round % 2 === 0 ? [peerName, 'Fairway'] : ['Fairway', peerName]) {
      const side = await startSide(stack, name, day);
      /** @type {Visit[]} */
      const visits = [];
      for (const userId of visitors) visits.push(await side.load.call('visit', userId));
      await side.stop();
      const warm = visits.slice(visits.length / 2);
      for (const thing of /** @type {(keyof Visit)[]} */ (Object.keys(things))) {
        const times = {
          'a cold process': visits[0]?.[thing] ?? Number.NaN,
          'a warm process': summarize(warm.map((visit) => visit[thing])).median,
        };
        for (const [state, ms] of Object.entries(times)) {
          const title = `morning, ${things[thing]}, ${state}`;
          samples[title] ??= { Fairway: [], [peerName]: [] };
          samples[title][name]?.push(ms);
        }
      }
    }
  }
  return Object.entries(samples).map(([title, figures]) => ({
    title,
    unit: 'ms',
    samples: figures,
    bars: [{ against: peerName }],
  }));
}
