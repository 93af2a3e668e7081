import type { Environment } from '../environment/environment.js';
import { FairwayError } from '../errors.js';
import { inTime } from '../in-time.js';
import { Backoff } from './backoff.js';

/** Returns a token of the user, or null if nobody is signed in. It may throw if the token cannot be had at the moment. */
export type GetToken = () => Promise<string | null> | string | null;

/** `getToken` is called again if it has not answered after this time. */
const answerWithinMs = 30_000;
/** A token is replaced when this part of its life has passed. */
const replacedAfter = 0.9;

/** The user's token: asked for when one is needed, by one call at a time, and again before it expires. */
export class Tokens {
  #token: string | undefined;
  /** On this device's clock. */
  #replaceAt = 0;
  #pending: Promise<string> | undefined;
  #backoff: Backoff;
  #notBefore = 0;
  #refusals = 0;
  /** A token that has served: that it is refused later says that it has expired. */
  #accepted: string | undefined;
  #isSignedOut = false;
  /** Counts the sessions: an answer that was asked for in an earlier one is not used. */
  #session = 0;
  #userId: string | undefined;

  /** @param onUser - called with the number of each token's user */
  constructor(
    private readonly environment: Environment,
    private readonly getToken: GetToken,
    private readonly onUser: (userId: string) => void,
  ) {
    this.#backoff = new Backoff(environment);
  }

  get isSignedOut(): boolean {
    return this.#isSignedOut;
  }

  /** The user whose tokens these are; undefined while that is not known. */
  get userId(): string | undefined {
    return this.#userId;
  }

  /** What is on this device is of this user: requests wait for a token of theirs. */
  assume(userId: string): void {
    this.#userId ??= userId;
  }

  /**
   * A token for what this user does now.
   * @throws {FairwayError} OFFLINE if another user has signed in meanwhile
   */
  async getForUser(): Promise<string> {
    const userId = this.#userId;
    const token = await this.get();
    if (userId !== undefined && userId !== this.#userId) throw unavailable('Another user has signed in');
    return token;
  }

  /** How long the present token is good, in milliseconds; undefined if it does not say. */
  get replaceInMs(): number | undefined {
    return Number.isFinite(this.#replaceAt) ? this.#replaceAt - this.environment.now() : undefined;
  }

  /** @throws {FairwayError} SIGNED_OUT, or OFFLINE if no token can be had at the moment */
  get(): Promise<string> {
    if (this.#isSignedOut) return Promise.reject(new FairwayError('SIGNED_OUT', 'Nobody is signed in'));
    if (this.#token !== undefined && this.environment.now() < this.#replaceAt) return Promise.resolve(this.#token);
    if (this.#pending === undefined) {
      const pending = this.#fetch(this.#session).finally(() => {
        if (this.#pending === pending) this.#pending = undefined;
      });
      this.#pending = pending;
    }
    return this.#pending;
  }

  /** A fresh token, however long the present one is good. */
  replace(): Promise<string> {
    this.#replaceAt = 0;
    return this.get();
  }

  /** The server has refused this token: the next one is fetched. The second refusal in a row signs out. */
  refuse(token: string): void {
    if (token !== this.#token) return;
    this.#token = undefined;
    if (token === this.#accepted) return;
    this.#refusals += 1;
    if (this.#refusals >= 2) this.#isSignedOut = true;
  }

  /** The server has accepted a token. */
  accept(): void {
    this.#refusals = 0;
    this.#accepted = this.#token;
  }

  signOut(): void {
    this.#endSession();
    this.#isSignedOut = true;
    this.#userId = undefined;
  }

  /** Asks for a token again, although there was none. */
  signInAgain(): void {
    this.#endSession();
    this.#isSignedOut = false;
    this.#refusals = 0;
    this.#notBefore = 0;
  }

  #endSession(): void {
    this.#session += 1;
    this.#token = undefined;
    this.#pending = undefined;
  }

  async #fetch(session: number): Promise<string> {
    const now = this.environment.now();
    // A day's jump of the clock must not stop it for a day.
    if (now < this.#notBefore && this.#notBefore - now < 60_000) throw unavailable('There is no token now');
    let token: string | null;
    try {
      token = await this.#ask();
    } catch (error) {
      this.#notBefore = this.environment.now() + this.#backoff.next();
      throw unavailable(String(error));
    }
    if (session !== this.#session) throw unavailable('Another user has signed in');
    if (typeof token !== 'string' || token === '') {
      this.#isSignedOut = true;
      throw new FairwayError('SIGNED_OUT', 'Nobody is signed in');
    }
    this.#backoff.reset();
    const { sub, exp, iat } = readClaims(token);
    this.#token = token;
    this.#replaceAt = this.environment.now() + lifeMs(exp, iat, this.environment.now()) * replacedAfter;
    if (sub !== undefined && sub !== this.#userId) {
      this.#userId = sub;
      this.onUser(sub);
    }
    return token;
  }

  #ask(): Promise<string | null> {
    const ask = async () => this.getToken();
    return inTime(this.environment, ask(), answerWithinMs);
  }
}

const unavailable = (message: string) => new FairwayError('OFFLINE', message);

/**
 * The time until a token expires. The device's clock may be wrong, so it counts only where it says less than the token's whole
 * life, and more than nothing.
 */
function lifeMs(exp: number | undefined, iat: number | undefined, now: number): number {
  if (exp === undefined) return Number.POSITIVE_INFINITY;
  const left = exp * 1_000 - now;
  const whole = iat === undefined ? left : (exp - iat) * 1_000;
  // A token that seems to end at once is asked for again no sooner than after a tenth of its life.
  return left > 0 ? Math.max(Math.min(left, whole), whole / 10) : whole;
}

/** The claims of a JWT, unchecked: the server checks it. */
function readClaims(token: string): { sub?: string; exp?: number; iat?: number } {
  try {
    const claims = JSON.parse(decodeBase64Url(token.split('.')[1] ?? '')) as Record<string, unknown>;
    return {
      ...(claims['sub'] === undefined ? {} : { sub: String(claims['sub']) }),
      ...(typeof claims['exp'] === 'number' ? { exp: claims['exp'] } : {}),
      ...(typeof claims['iat'] === 'number' ? { iat: claims['iat'] } : {}),
    };
  } catch {
    return {};
  }
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Hermes has no `atob`. Characters beyond ASCII become others, which the claims read here do not have. */
function decodeBase64Url(text: string): string {
  let [bits, length, decoded] = [0, 0, ''];
  for (const character of text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')) {
    bits = (bits << 6) | alphabet.indexOf(character);
    length += 6;
    if (length < 8) continue;
    length -= 8;
    decoded += String.fromCharCode((bits >> length) & 255);
  }
  return decoded;
}
