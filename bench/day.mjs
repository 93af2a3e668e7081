import { profiles } from './support/day-profile.mjs';
import { runDay } from './support/day-runs.mjs';

/**
 * Runs the day of 400 people on the system that Fairway replaces and on Fairway.
 * @param {import('./support/results.mjs').BenchContext} context
 */
export const run = (context) => runDay(context, profiles.club, { limit: 3, cpu: 0.5, p99: 0.5, bytes: 1.2 });
