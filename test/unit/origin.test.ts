import { describe, expect, it } from 'vitest';
import { normalizeOrigin } from '../../src/domain/origin.js';
import { isOwnName } from '../../src/server/http/hosts.js';
import { createOriginCheck } from '../../src/server/http/origin.js';

describe('normalizeOrigin', () => {
  it.each([
    ['https://App.Example.com', 'https://app.example.com'],
    ['https://app.example.com:443', 'https://app.example.com'],
    ['wss://app.example.com', 'https://app.example.com'],
    ['http://app.example.com:80', 'http://app.example.com'],
    ['ws://app.example.com:4000', 'http://app.example.com:4000'],
    ['http://[::1]:4000', 'http://[::1]:4000'],
    ['capacitor://localhost', 'capacitor://localhost'],
    ['ionic://localhost', 'ionic://localhost'],
    ['tauri://localhost', 'tauri://localhost'],
    ['app://-', 'app://-'],
    ['chrome-extension://abcdefghijklmnop', 'chrome-extension://abcdefghijklmnop'],
    ['file://', 'file://'],
  ])('turns %s into %s', (text, origin) => {
    expect(normalizeOrigin(text)).toBe(origin);
  });

  it.each([
    'null',
    '',
    '*',
    'https://*.example.com',
    'https://app.example.com/',
    'https://app.example.com/path',
    'https://app.example.com?x',
    'https://user@app.example.com',
    'https://',
    'https://a b',
    'app.example.com',
    '//app.example.com',
    'capacitor://localhost/',
  ])('refuses %j', (text) => {
    expect(normalizeOrigin(text)).toBeNull();
  });
});

describe('an origin', () => {
  const allowed = ['https://app.example.com', 'capacitor://localhost'];
  const isAllowed = createOriginCheck({ allowed, loopback: false });
  const isAllowedOnThisMachine = createOriginCheck({ allowed: [], loopback: true });

  it.each([
    [undefined, 'chat.example.com'],
    ['https://chat.example.com', 'chat.example.com'],
    ['https://chat.example.com', 'chat.example.com:443'],
    ['https://chat.example.com', 'CHAT.example.com'],
    ['https://chat.example.com:443', 'chat.example.com'],
    ['wss://chat.example.com', 'chat.example.com:443'],
    ['wss://chat.example.com:443', 'chat.example.com'],
    ['http://chat.example.com', 'chat.example.com:80'],
    ['ws://chat.example.com:80', 'chat.example.com'],
    ['http://chat.example.com:4000', 'chat.example.com:4000'],
    ['http://[::1]:4000', '[::1]:4000'],
    ['https://app.example.com:443', 'chat.example.com'],
    ['wss://app.example.com', 'chat.example.com'],
    ['capacitor://localhost', 'chat.example.com'],
  ])('%s is allowed at %s', (origin, host) => {
    expect(isAllowed({ headers: { origin, host } })).toBe(true);
  });

  it.each([
    ['https://evil.example', 'chat.example.com'],
    ['null', 'chat.example.com'],
    ['null', 'null'],
    ['http://chat.example.com', 'chat.example.com:443'],
    ['https://chat.example.com', 'chat.example.com:80'],
    ['https://chat.example.com', 'chat.example.com:4000'],
    ['https://chat.example.com.evil.example', 'chat.example.com'],
    ['http://app.example.com', 'chat.example.com'],
    ['ionic://localhost', 'chat.example.com'],
    ['capacitor://chat.example.com', 'chat.example.com'],
    ['http://undefined', undefined],
    ['http://localhost:5173', 'localhost:4000'],
  ])('%s is refused at %s', (origin, host) => {
    expect(isAllowed({ headers: { origin, host } })).toBe(false);
  });

  it.each(['http://localhost:5173', 'http://127.0.0.1:5173', 'http://[::1]:8080', 'https://localhost'])(
    '%s is allowed if origins of this machine are',
    (origin) => {
      expect(isAllowedOnThisMachine({ headers: { origin, host: 'localhost:4000' } })).toBe(true);
    },
  );

  it.each([
    'http://evil.example:4000',
    'http://localhost.evil.example',
    'http://128.0.0.1',
    'capacitor://localhost',
    'null',
  ])('%s is refused even if origins of this machine are allowed', (origin) => {
    expect(isAllowedOnThisMachine({ headers: { origin, host: 'localhost:4000' } })).toBe(false);
  });
});

describe('isOwnName', () => {
  it.each([
    'localhost:4000',
    'LOCALHOST',
    '127.0.0.1:4000',
    '[::1]:4000',
    '192.168.1.5:4000',
    '[fe80::1]:4000',
    'box.local:4000',
  ])('accepts %s', (host) => {
    expect(isOwnName(host, 'box.local')).toBe(true);
  });

  it.each([undefined, '', 'evil.example:4000', 'localhost.evil.example', '127.0.0.1.evil.example', 'a b'])(
    'refuses %s',
    (host) => {
      expect(isOwnName(host, 'box.local')).toBe(false);
    },
  );
});
