import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import type { Instance } from '../support/instance.js';
import { describeWithNats } from '../support/requirements.js';
import { useWorld } from '../support/world.js';

const headers = 'POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
const everyMs = 500;

describeWithNats('a request that comes byte by byte', () => {
  const world = useWorld({ instances: 1 });

  it('has 10 s for its headers and 30 s in all, and then gets a 408', async () => {
    const [instance] = world.instances as [Instance];
    const [early, late] = await Promise.all([
      dribble(instance, `${headers}X-Slow: `),
      dribble(instance, `${headers}Content-Length: 10000\r\n\r\n`),
    ]);
    expect(early.answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(early.seconds).toBeGreaterThan(9);
    // With Node's defaults it would be 40 s, and 60 s in all.
    expect(early.seconds).toBeLessThan(25);
    expect(late.answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(late.seconds).toBeGreaterThan(29);
    expect(late.seconds).toBeLessThan(50);
  });

  /** Sends a byte every `everyMs`. Resolves with the lifetime of the connection and its answer. */
  async function dribble({ port }: Instance, start: string): Promise<{ answer: string; seconds: number }> {
    const startedAt = performance.now();
    const socket = connect(port, '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    let answer = '';
    socket.setEncoding('utf8').on('data', (text) => {
      answer += text;
    });
    socket.on('error', () => undefined);
    socket.write(start);
    const sending = setInterval(() => socket.write('x'), everyMs);
    await once(socket, 'close');
    clearInterval(sending);
    return { answer, seconds: (performance.now() - startedAt) / 1_000 };
  }
});
