import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type Attack, Bystander } from '../support/bystander.js';
import type { Instance } from '../support/instance.js';
import { describeWithNats } from '../support/requirements.js';
import { postOperation, RawSocket } from '../support/wire.js';
import { useWorld } from '../support/world.js';

describeWithNats('a bystander sends as fast as ever', () => {
  const world = useWorld({ instances: 1 });
  let instance: Instance;
  let bystander: Bystander;

  beforeAll(async () => {
    [instance] = world.instances as [Instance];
    bystander = await Bystander.start(instance, await world.client(6), 7);
  });
  afterAll(() => bystander?.stop());
  afterEach(() => expect(instance.process.exitCode, instance.output()).toBeNull());

  /** One thing that somebody does to everybody else. */
  const during = (what: string, attack: Attack): void =>
    it(`while ${what}`, { timeout: 180_000 }, async ({ annotate }) => {
      const { usual, attacked } = await bystander.endures(attack);
      await annotate(`p99 ${attacked} ms, ${usual} ms as a rule`);
    });

  during('somebody without a token asks for much that does not exist, on many lines', async (signal) => {
    const names = Array.from({ length: 120 }, (_, index) => `x${index}`).join(' ');
    while (!signal.aborted) {
      const { errors } = await postOperation(instance, { query: `${'\n'.repeat(118_000)}{ ${names} }` });
      expect(errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT');
    }
  });

  during(
    'somebody opens sockets and sends 100,000 pings over each, without a word about who they are',
    async (signal) => {
      const ping = Buffer.from(JSON.stringify({ type: 'ping' }));
      while (!signal.aborted) {
        const socket = new RawSocket(instance);
        await socket.opened();
        for (let count = 0; count < 100_000 && socket.closed === undefined; count += 1_000) {
          for (let each = 0; each < 1_000; each += 1) socket.ws.send(ping, { binary: false });
          await delay(0);
        }
        socket.ws.terminate();
      }
    },
  );
});
