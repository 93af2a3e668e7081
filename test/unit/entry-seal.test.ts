import { expect, it } from 'vitest';
import { EntrySeal } from '../../src/pubsub/nats/entry-seal.js';

const key = new Uint8Array(32).fill(7);
const seal = new EntrySeal(() => key);
const toBody = (text: string) => new TextEncoder().encode(text);
const text = JSON.stringify({ content: '안녕 ,"seal":"x"}', seq: 7 });
const sealed = seal.put(text);

it('is the last field of the object, and is recognized there', () => {
  expect(JSON.parse(sealed)).toEqual({ ...(JSON.parse(text) as object), seal: expect.stringMatching(/^[\w-]{43}$/) });
  expect(seal.isOn(toBody(sealed))).toBe(true);
  expect(new EntrySeal(() => key.slice()).isOn(toBody(sealed))).toBe(true);
});

it.each([
  ['nothing', ''],
  ['an object without one', text],
  ['an object that was changed', sealed.replace('"seq":7', '"seq":8')],
  ['an object with more behind it', sealed.replace(/\}$/, ',"seq":8}')],
  ['a seal of another key', new EntrySeal(() => new Uint8Array(32)).put(text)],
  ['an invalid seal', sealed.replace(/.{43}"\}$/, `${'!'.repeat(43)}"}`)],
  ['an empty seal', `${text.slice(0, -1)},"seal":""}`],
  ['the seal alone', sealed.slice(-54)],
])('is not recognized on %s', (_what, body) => {
  expect(seal.isOn(toBody(body))).toBe(false);
});

it('is neither added nor recognized while no key is known', () => {
  const blind = new EntrySeal(() => undefined);

  expect(blind.put(text)).toBe(text);
  expect(blind.isOn(toBody(sealed))).toBe(false);
});
