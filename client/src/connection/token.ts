import type { Environment } from '../environment/environment.js';
import { FairwayError } from '../errors.js';
import { Backoff } from './backoff.js';

/** Returns a token of the user, or null if nobody is signed in. It may throw if the token cannot be had at the moment. */
export type GetToken = () => Promise<string | null> | string | null;

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
  #isSignedOut = false;

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

  /** How long the present token is good, in milliseconds; undefined if it does not say. */
  get replaceInMs(): number | undefined {
    return Number.isFinite(this.#replaceAt) ? this.#replaceAt - this.environment.now() : undefined;
  }

  /** @throws {FairwayError} SIGNED_OUT, or OFFLINE if no token can be had at the moment */
  get(): Promise<string> {
    if (this.#isSignedOut) return Promise.reject(new FairwayError('SIGNED_OUT', 'Nobody is signed in'));
    if (this.#token !== undefined && this.environment.now() < this.#replaceAt) return Promise.resolve(this.#token);
    this.#pending ??= this.#fetch().finally(() => {
      this.#pending = undefined;
    });
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
    this.#refusals += 1;
    if (this.#refusals >= 2) this.#isSignedOut = true;
  }

  /** The server has accepted a token. */
  accept(): void {
    this.#refusals = 0;
  }

  signOut(): void {
    this.#isSignedOut = true;
    this.#token = undefined;
  }

  /** Asks for a token again, although there was none. */
  signInAgain(): void {
    this.#isSignedOut = false;
    this.#refusals = 0;
    this.#notBefore = 0;
  }

  async #fetch(): Promise<string> {
    const now = this.environment.now();
    // A day's jump of the clock must not stop it for a day.
    if (now < this.#notBefore && this.#notBefore - now < 60_000)
      throw unavailable('The token could not be had just now');
    let token: string | null;
    try {
      token = await this.getToken();
    } catch (error) {
      this.#notBefore = this.environment.now() + this.#backoff.next();
      throw unavailable(String(error));
    }
    if (this.#isSignedOut || token === null || token === undefined || token === '') {
      this.#isSignedOut = true;
      throw new FairwayError('SIGNED_OUT', 'Nobody is signed in');
    }
    this.#backoff.reset();
    const { sub, exp, iat } = readClaims(token);
    this.#token = token;
    this.#replaceAt = this.environment.now() + lifeMs(exp, iat, this.environment.now()) * replacedAfter;
    if (sub !== undefined) this.onUser(sub);
    return token;
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
  return left > 0 ? Math.min(left, whole) : whole;
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
