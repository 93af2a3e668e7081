import { compareWithStored } from './day-sides.mjs';
import { format } from './statistics.mjs';

/**
 * @typedef {import('./day-sides.mjs').Side} Side
 * @typedef {{ count: number, p50: number, p99: number, max: number }} Times in ms
 *
 * What one step showed.
 * @typedef {object} Step
 * @property {number} perSecond
 * @property {number} messages
 * @property {Record<string, Times>} times of each thing
 * @property {Record<string, number>} cpuMs a message, of each process
 * @property {number} totalCpuMs a message, of all processes but the load
 * @property {number | undefined} statements a message
 * @property {number} residentMb
 * @property {number} messageBytes the frame of a delivered message
 * @property {number} bytes all that was received, for each delivered message
 * @property {Record<string, number>} failed operations: refused, unanswered, and closed sockets
 * @property {Record<string, number>} wrong messages: lost, repeated, misordered, shown or acknowledged and not stored
 * @property {Times} lateness of the load itself
 * @property {[string, number][]} reasons of refusals and closes
 */

/** A step is in time if 99 of 100 messages reach a device within this time of the moment at which they were due. */
export const latencyLimitMs = 200;

const lowest = 25;
const warmUpMs = 3_000;
const bisections = 3;

/**
 * Runs the day on a side at so many messages a second.
 * @param {Side} side
 * @param {number} perSecond
 * @param {number} ms
 * @returns {Promise<Step>}
 */
export async function measureStep(side, perSecond, ms) {
  await side.database.countStatements();
  const before = side.cpu();
  const seen = await side.load.call('step', perSecond, ms);
  const { receipts, messages, refusals, closes, unanswered, times, lateness, reasons } = seen;
  const residentMb = side.residentMb();
  const wrong = await compareWithStored(side);
  const cpuMs = Object.fromEntries(
    Object.entries(side.cpu()).map(([name, seconds]) => [name, ((seconds - (before[name] ?? 0)) * 1_000) / messages]),
  );
  const statements = await side.database.readStatements();
  printStatements(side.name, perSecond, statements, messages);
  return {
    ...{ perSecond, messages, times, cpuMs, residentMb, wrong, lateness, reasons },
    failed: { refused: refusals, closed: closes, unanswered },
    totalCpuMs: Object.entries(cpuMs).reduce((sum, [name, value]) => (name === 'load' ? sum : sum + value), 0),
    statements: statements && statements.reduce((sum, { calls }) => sum + calls, 0) / messages,
    messageBytes: seen.messageBytes / receipts,
    bytes: seen.bytes / receipts,
  };
}

/** Lets the compilers of a side do their work. @param {Side} side */
export const warmUp = (side) => side.load.call('step', lowest, warmUpMs);

/** Wrong messages are counted beside it: they come from how a system is built as well as from too much load. @param {Step} step */
const isInTime = ({ times, failed }) =>
  (times['receive']?.p99 ?? Number.NaN) <= latencyLimitMs && Object.values(failed).every((count) => count === 0);

/**
 * Doubles the rate until a step is late or fails, and then halves the gap, three times. Returns all steps.
 * @param {Side} side
 * @param {number} ms
 */
export async function findLimit(side, ms) {
  /** @type {Step[]} */
  const steps = [];
  const runAt = async (/** @type {number} */ perSecond) => {
    const step = await measureStep(side, perSecond, ms);
    steps.push(step);
    printStep(side.name, step);
    return isInTime(step);
  };
  let good = 0;
  let bad = Number.POSITIVE_INFINITY;
  for (let rate = lowest; rate >= 1 && (good === 0 || bad === Number.POSITIVE_INFINITY); ) {
    if (await runAt(rate)) good = rate;
    else bad = rate;
    rate = Math.round(good === 0 ? rate / 2 : rate * 2);
  }
  for (let time = 0; time < bisections; time += 1) {
    const rate = Math.round(Math.sqrt(Math.max(good, 1) * bad));
    if (rate === good || rate === bad) break;
    if (await runAt(rate)) good = rate;
    else bad = rate;
  }
  return { limit: good, steps };
}

/** @param {string} name @param {Step} step */
export function printStep(name, step) {
  const pair = (/** @type {Times} */ { p50, p99 }) => `${format(p50)}/${format(p99)}`;
  const list = (/** @type {[string, number][]} */ entries) =>
    entries.map(([what, value]) => `${what} ${format(value)}`).join(', ');
  const { times, cpuMs, totalCpuMs, statements, residentMb, messageBytes, bytes, failed, wrong, lateness, reasons } =
    step;
  const errors = Object.entries({ ...failed, ...wrong }).filter(([, count]) => count > 0);
  const lines = [
    `  ${name}, ${step.perSecond}/s: ${isInTime(step) ? 'in time' : 'LATE or failed'}`,
    `    ms p50/p99: ${Object.entries(times)
      .filter(([, { count }]) => count > 0)
      .map(([kind, value]) => `${kind} ${pair(value)}`)
      .join(', ')}; the load began ${pair(lateness)} late`,
    `    a message: CPU ${format(totalCpuMs)} ms (${list(Object.entries(cpuMs))}), statements ${statements === undefined ? 'not counted' : format(statements)}`,
    `    resident ${format(residentMb)} MB; bytes of a delivered message ${format(messageBytes)}, with all else ${format(bytes)}`,
    `    wrong: ${errors.length === 0 ? 'nothing' : list(errors)}`,
    ...reasons.map(([reason, count]) => `      ${count} x ${reason}`),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

/**
 * With BENCH_PROFILE, which is for finding out where the time goes: the most frequent statements.
 * @param {string} name @param {number} perSecond
 * @param {import('./stack.mjs').StatementCount[] | undefined} statements @param {number} messages
 */
function printStatements(name, perSecond, statements, messages) {
  if (process.env['BENCH_PROFILE'] === undefined || statements === undefined) return;
  process.stdout.write(`  ${name}, ${perSecond}/s, statements a message:\n`);
  for (const { text, calls } of statements.slice(0, 15)) {
    process.stdout.write(
      `    ${format(calls / messages).padStart(7)}  ${text.replaceAll(/\s+/g, ' ').slice(0, 150)}\n`,
    );
  }
}
