import type { Environment } from '../environment/environment.js';
import { asFairwayError, FairwayError, toFairwayError } from '../errors.js';
import type { Tokens } from './token.js';

/** An answer that does not come in this time does not come. */
const answerWithinMs = 15_000;

interface HttpOptions {
  readonly environment: Environment;
  readonly url: string;
  readonly tokens: Tokens;
}

export interface HttpRequest {
  readonly query: string;
  readonly variables: unknown;
}

/**
 * Executes one operation over HTTP.
 * @throws {FairwayError} the server's refusal; OFFLINE if the server cannot be reached; NO_ANSWER if it does not answer in time
 */
export async function requestOverHttp(
  options: HttpOptions,
  request: HttpRequest,
  { isLastWord = false } = {},
): Promise<unknown> {
  const { userId } = options.tokens;
  try {
    return await post(options, request, isLastWord);
  } catch (error) {
    const { code } = asFairwayError(error);
    // The token may have expired on the way: once more with a fresh one, if it is of the same user.
    if (code !== 'UNAUTHENTICATED' || options.tokens.isSignedOut) throw error;
    await options.tokens.get();
    if (options.tokens.userId !== userId) throw new FairwayError('OFFLINE', 'Another user has signed in');
    return await post(options, request, isLastWord);
  }
}

async function post({ environment, url, tokens }: HttpOptions, request: HttpRequest, isLastWord: boolean) {
  const token = await tokens.getForUser();
  const abort = new AbortController();
  let isLate = false;
  const cancel = environment.setTimer(() => {
    isLate = true;
    abort.abort();
  }, answerWithinMs);
  try {
    const response = await fetchFrom(environment, url, token, 'application/json', {
      body: JSON.stringify(request),
      signal: abort.signal,
      // Outlives the page, which is about to end.
      keepalive: isLastWord,
    });
    const answer = await readJson(response);
    if (answer.data != null && answer.errors === undefined) {
      tokens.accept();
      return answer.data;
    }
    const error = toFairwayError(answer.errors);
    if (error.code === 'UNAUTHENTICATED') tokens.refuse(token);
    throw error;
  } catch (error) {
    if (error instanceof FairwayError) throw error;
    throw new FairwayError(isLate ? 'NO_ANSWER' : 'OFFLINE', String(error));
  } finally {
    cancel();
  }
}

/** Sends a POST to the server. */
export const fetchFrom = (
  environment: Environment,
  url: string,
  token: string,
  accept: string,
  init: RequestInit,
): Promise<Response> =>
  environment.fetch(url, {
    ...init,
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept },
  });

async function readJson(response: Response): Promise<{ data?: unknown; errors?: unknown }> {
  const text = await response.text();
  try {
    const answer = JSON.parse(text) as { data?: unknown; errors?: unknown };
    if (typeof answer === 'object' && answer !== null && ('data' in answer || 'errors' in answer)) return answer;
  } catch {
    // A proxy's page; below.
  }
  // Something in between answers for the server, which was not reached.
  throw new FairwayError('OFFLINE', `The answer ${response.status} is none of the server`);
}
