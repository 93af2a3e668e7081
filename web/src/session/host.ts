/** The message with which the app asks the page around its frame for a token. */
const question = 'fairway:getToken';
/** The answer: `{ type, token }`, where null signs the user out. */
const answer = 'fairway:token';
const answerWithinMs = 10_000;

/**
 * Asks the page around the frame for a token. Only pages of these origins can read the question, and only their answer counts.
 * @throws {Error} if none answers: it is asked again later
 */
export function askHost(origins: readonly string[]): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener('message', hear);
    };
    const hear = ({ source, origin, data }: MessageEvent) => {
      if (source !== window.parent || !origins.includes(origin)) return;
      const { type, token } = (data ?? {}) as { type?: unknown; token?: unknown };
      if (type !== answer || (typeof token !== 'string' && token !== null)) return;
      end();
      resolve(token);
    };
    const timer = setTimeout(() => {
      end();
      reject(new Error('The page around the frame has given no token'));
    }, answerWithinMs);
    addEventListener('message', hear);
    for (const origin of origins) window.parent.postMessage({ type: question }, origin);
  });
}

/** Calls the listener when the page around the frame says, without being asked, that nobody is signed in any more. */
export function onSignedOut(origins: readonly string[], listener: () => void): void {
  addEventListener('message', ({ source, origin, data }: MessageEvent) => {
    if (source !== window.parent || !origins.includes(origin)) return;
    const { type, token } = (data ?? {}) as { type?: unknown; token?: unknown };
    if (type === answer && token === null) listener();
  });
}
