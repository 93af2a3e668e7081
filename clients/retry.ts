/** The request has not arrived, or the server was not ready for it: the same one may succeed later. */
const temporary: ReadonlySet<string> = new Set(['NETWORK', 'UNAVAILABLE', 'RATE_LIMITED']);
const maxRepeats = 10;
/** A request over a dead link may get neither an answer nor an error for minutes. */
const answerMs = 15_000;

type CodeOf = (error: unknown) => string;
type RetryAfterMsOf = (error: unknown) => number | undefined;

/** 0.5 to 1.5 times 0.5, 1, 2, 4, then 8 s, so that not all clients come back at once. */
export const growingPauseMs = (repeats: number): number => (0.5 + Math.random()) * Math.min(500 * 2 ** repeats, 8_000);

/**
 * Repeats a request that failed with NETWORK, UNAVAILABLE or RATE_LIMITED, or has no answer after 15 s, at most ten times in
 * about a minute: after the pause that the server asks for, or one that grows. Only for a request that may arrive twice, like a
 * message with its id.
 * @throws the error of the last attempt, or at once one with another code
 */
async function withRetries<T>(attempt: () => Promise<T>, codeOf: CodeOf, retryAfterMsOf: RetryAfterMsOf): Promise<T> {
  for (let repeats = 0; ; repeats += 1) {
    try {
      return await inTime(attempt());
    } catch (error) {
      if (repeats === maxRepeats || !temporary.has(codeOf(error))) throw error;
      await new Promise((resolve) => setTimeout(resolve, retryAfterMsOf(error) ?? growingPauseMs(repeats)));
    }
  }
}

function inTime<T>(answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('No answer has come')), answerMs);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** By client, the newest request of each room. */
const newest = new WeakMap<object, Map<string, Promise<unknown>>>();

/**
 * Sends what changes a room, with repeats (see `withRetries`), one request of the client after another: over HTTP, two at a time
 * may overtake each other. If one is given up after its repeats, those that wait behind it are given up with it, so that none
 * takes its place; after any other refusal the next one follows.
 * @throws the error of the last attempt, or of the request before it that was given up
 */
export function sendInOrder<T>(
  client: object,
  roomId: string,
  attempt: () => Promise<T>,
  codeOf: CodeOf,
  retryAfterMsOf: RetryAfterMsOf,
): Promise<T> {
  const rooms = newest.get(client) ?? new Map<string, Promise<unknown>>();
  newest.set(client, rooms);
  const send = () => withRetries(attempt, codeOf, retryAfterMsOf);
  const sent = (rooms.get(roomId) ?? Promise.resolve()).then(send, (error: unknown) => {
    if (temporary.has(codeOf(error))) throw error;
    return send();
  });
  rooms.set(roomId, sent);
  const forget = () => {
    if (rooms.get(roomId) === sent) rooms.delete(roomId);
  };
  sent.then(forget, forget);
  return sent;
}
