import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findNatsServer, NatsServerNotFoundError } from '../../src/dev/embedded/nats-binary.js';

describe('findNatsServer', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'fairway-path-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('finds nothing in folders without a server', () => {
    expect(findNatsServer(['', folder, '/no/such/folder'])).toBeUndefined();
  });

  it('returns the first executable file', () => {
    const path = join(folder, 'nats-server');
    writeFileSync(path, '');
    expect(findNatsServer([folder])).toBeUndefined();

    chmodSync(path, 0o755);
    expect(findNatsServer(['/no/such/folder', folder])).toBe(path);
  });
});

describe('NatsServerNotFoundError', () => {
  it('names the three ways to get it', () => {
    const { message } = new NatsServerNotFoundError('');

    expect(message).toMatch(/apt-get install nats-server.*brew install nats-server/);
    expect(message).toContain('https://nats.io/download');
    expect(message).toContain('NATS_URL');
  });
});
