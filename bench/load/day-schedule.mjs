import { setTimeout as delay } from 'node:timers/promises';

/** @typedef {import('./day-crowd.mjs').Crowd} Crowd */
/** A later part of an action. @typedef {(due: number) => void} Sequel */

const readAfterMs = 1_000;
const never = Number.POSITIVE_INFINITY;

/**
 * What each kind of operation does, and how long after it its sequel is due.
 * @type {Record<string, { act: (crowd: Crowd, due: number) => Sequel | undefined | void, sequelAfterMs?: number }>}
 */
const kinds = {
  messages: { act: (crowd, due) => sendAndMark(crowd, due), sequelAfterMs: readAfterMs },
  typing: { act: (crowd, due) => crowd.startTyping(due), sequelAfterMs: 2_000 },
  lists: { act: (crowd, due) => crowd.list(due) },
  opens: { act: (crowd, due) => crowd.open(due) },
  pagesBack: { act: (crowd, due) => crowd.pageBack(due) },
  edits: { act: (crowd, due) => crowd.edit(due) },
  reconnects: { act: (crowd) => crowd.drop(), sequelAfterMs: 1_000 },
};

/** @param {Crowd} crowd @param {number} due @returns {Sequel} */
function sendAndMark(crowd, due) {
  const room = crowd.pickRoom();
  crowd.send(due, room);
  return (at) => crowd.markRead(at, room);
}

/**
 * Runs the operations of a day in an open loop: each kind arrives by chance at its rate (a Poisson process), and none waits
 * for an answer. Resolves when the last one has begun.
 * @param {Crowd} crowd
 * @param {number} perSecond messages; all else follows from the profile
 * @param {number} ms
 */
export async function runSchedule(crowd, perSecond, ms) {
  const schedule = draw(crowd, perSecond, ms);
  /** For each kind, what is due next. The times of one queue only grow. @type {{ at: number, run: Sequel }[][]} */
  const queues = [schedule, ...Object.keys(kinds).map(() => [])];
  const queueOf = Object.fromEntries(Object.keys(kinds).map((kind, index) => [kind, queues[index + 1] ?? []]));
  const startedAt = performance.now();
  for (;;) {
    const queue = queues.reduce((first, other) => ((other[0]?.at ?? never) < (first[0]?.at ?? never) ? other : first));
    const next = queue.shift();
    if (next === undefined) return;
    const due = startedAt + next.at;
    const waitMs = due - performance.now();
    if (waitMs > 0) await delay(waitMs);
    crowd.world.record.lateness.push(Math.max(0, performance.now() - due));
    next.run(due);
  }

  /** @param {Crowd} crowd @param {number} perSecond @param {number} ms */
  function draw(crowd, perSecond, ms) {
    const { perMessage } = crowd.day.profile;
    const shares = { messages: 1, ...perMessage };
    return Object.entries(kinds)
      .flatMap(([kind, { act, sequelAfterMs = 0 }]) => {
        const rate = ((shares[/** @type {keyof typeof shares} */ (kind)] ?? 0) * perSecond) / 1_000;
        return arrivals(crowd.random, rate, ms).map((at) => ({
          at,
          run: (/** @type {number} */ due) => {
            const run = act(crowd, due);
            if (typeof run === 'function') queueOf[kind]?.push({ at: at + sequelAfterMs, run });
          },
        }));
      })
      .sort((a, b) => a.at - b.at);
  }
}

/** @param {() => number} random @param {number} rate a millisecond @param {number} ms */
function arrivals(random, rate, ms) {
  /** @type {number[]} */
  const times = [];
  if (rate === 0) return times;
  for (;;) {
    const at = (times.at(-1) ?? 0) - Math.log(1 - random()) / rate;
    if (at >= ms) return times;
    times.push(at);
  }
}
