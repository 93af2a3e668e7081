import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, expect, it } from 'vitest';
import { signToken } from '../../src/auth/sign-token.js';
import { Backend, type BackendAnswer } from '../support/backend.js';
import { type Instance, testSecret } from '../support/instance.js';
import { metricsEnv, readMetrics } from '../support/metrics.js';
import { oneMessage, whoAmI } from '../support/operations.js';
import { becomesReady } from '../support/readiness.js';
import { describeWithNats } from '../support/requirements.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const authorId = 5;
/** Shorter than the server takes to notice that a connection passes nothing on. */
const stallMs = 4_000;
/** Enough for a request that is answered at all. */
const requestMs = 3_000;
/** Shorter than the lifetime of a known name, which would bring the new one as well. */
const shownMs = 30_000;

describeWithNats('a new name over one instance, for a reader at another one that knows the old name', () => {
  const world = useWorld({ instances: 0 });
  const ways: TcpProxy[] = [];
  let messageId: string;
  let changes = 0;

  beforeAll(async () => {
    for (let place = 0; place < 2; place += 1) {
      const way = await startTcpProxy(world.nats.url);
      ways.push(way);
      await becomesReady(await world.start({ ...metricsEnv, NATS_URL: way.url }), { nats: 'ok' });
    }
    const author = await world.client(authorId, 0);
    const roomId = await author.group(4);
    messageId = (await author.send(roomId, 'who am I?')).message.id;
    return async () => {
      await Promise.all(world.instances.map((instance) => instance.kill()));
      await Promise.all(ways.map((way) => way.stop()));
    };
  });

  it.each([
    ['the storing', 0],
    ["the reader's", 1],
  ])('is shown though only %s instance had lost NATS', async (_whose, place) => {
    await expectName(async (rename) => {
      await lose(place);
      await rename();
      await regain(place);
    });
  });

  it.each([
    ['the storing', 0],
    ["the reader's", 1],
  ])('is shown though the connection of %s instance passed nothing on before it was lost', async (_whose, place) => {
    await expectName(async (rename) => {
      await ways[place]?.cut({ silently: true });
      await rename();
      await delay(stallMs);
      await lose(place);
      await regain(place);
    });
  });

  it('is shown while NATS is away, and when it is back', async () => {
    await expectName(async (rename) => {
      await world.nats.kill();
      await Promise.all(world.instances.map((instance) => becomesReady(instance, { nats: 'away' })));
      const name = await rename();
      expect(await nameAt(1)).toBe(name);
      await world.nats.restart({ wipe: true });
      await Promise.all([reconnected(0), reconnected(1)]);
    });
  });

  it('of a backend is shown though NATS is killed during its request', async () => {
    await expectKnown();
    const name = nextName();
    const request = JSON.stringify({ userId: authorId, name });
    const backend = await Backend.connect(world.nats);
    const upsert = () => backend.askRaw<BackendAnswer>('chat.users.upsert', request, requestMs);
    const lost = upsert().catch(() => undefined);
    await delay(Math.random() * 5);
    await world.nats.kill();
    await world.nats.restart({ wipe: true });
    await lost;
    await Promise.all([reconnected(0), reconnected(1)]);

    await waitFor(async () => (await upsert()).success, { what: 'an answer' });

    await expectShown(name);
    await backend.close();
  });

  /** Runs an outage in which a newer token brings another name to the first instance. */
  async function expectName(outage: (rename: () => Promise<string>) => Promise<void>): Promise<void> {
    await expectKnown();
    let name = '';
    await outage(async () => {
      name = nextName();
      const token = await signToken(testSecret, { userId: authorId, name });
      await (await world.client(authorId, 0, token)).http(whoAmI, {});
      return name;
    });
    await expectShown(name);
  }

  async function expectShown(name: string): Promise<void> {
    const isShown = async () => (await nameAt(1)) === name && (await nameAt(0)) === name;
    await waitFor(isShown, { what: 'the new name', timeoutMs: shownMs });
    await expectKnown();
    expect(await isShown()).toBe(true);
  }

  /** For some time after a connection, an instance keeps no name. */
  async function expectKnown(): Promise<void> {
    for (const [place, instance] of world.instances.entries()) {
      const isKept = async () => {
        await nameAt(place);
        return (await countKept(instance)) > 0;
      };
      await waitFor(isKept, { what: `instance ${place} to keep the name`, pollMs: 100 });
    }
  }

  const countKept = async (instance: Instance) => (await readMetrics(instance)).get('fairway_kept_names') ?? 0;

  async function nameAt(place: number): Promise<string | undefined> {
    const { message } = await (await reader(place)).http(oneMessage, { id: messageId });
    return message?.sender.name;
  }

  const readers: Awaited<ReturnType<typeof world.client>>[] = [];
  async function reader(place: number) {
    readers[place] ??= await world.client(4, place);
    return readers[place];
  }

  function nextName(): string {
    changes += 1;
    return `이름 ${changes}`;
  }

  async function lose(place: number): Promise<void> {
    await ways[place]?.cut();
    await becomesReady(world.instances[place] as Instance, { nats: 'away' });
  }

  async function regain(place: number): Promise<void> {
    await ways[place]?.restore();
    await reconnected(place);
  }

  /** Resolves once the instance has NATS again and has dropped the names from before, which may be old. */
  async function reconnected(place: number): Promise<void> {
    const instance = world.instances[place] as Instance;
    await becomesReady(instance, { nats: 'ok' });
    const areDropped = async () => (await countKept(instance)) === 0;
    await waitFor(areDropped, { what: `instance ${place} to drop the names`, timeoutMs: shownMs });
  }
});
