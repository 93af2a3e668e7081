import { beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { TestClient } from '../../../test/support/client.js';
import { Random } from '../../../test/support/random.js';
import { describeWithNats } from '../../../test/support/requirements.js';
import { startTcpProxy } from '../../../test/support/tcp-proxy.js';
import { waitFor } from '../../../test/support/wait-for.js';
import { useWorld } from '../../../test/support/world.js';
import { createEnvironment, createFairway, type Fairway } from '../../src/fairway.js';
import type { KeyValueStore } from '../../src/storage/key-value.js';
import { createMemoryStore } from '../../src/storage/memory.js';

const from = Number(process.env['RANDOM_SEED'] ?? 1);
/** `RANDOM_RUNS=200 npm test -- client/test/e2e/random-real.test.ts` for the long run. */
const runs = Number(process.env['RANDOM_RUNS'] ?? 20);
/** Each run has a room and a client of its own; they share the servers. */
const atOnce = 20;
const steps = 30;

describeWithNats('the client with two real instances behind a proxy that fails', () => {
  const world = useWorld({ instances: 2 });
  let kim: TestClient;
  let lee: TestClient;
  beforeAll(async () => {
    [kim, lee] = [await world.client(4, 0), await world.client(5, 1)];
  });

  it(`shows in the end what a fresh client shows, in ${runs} random runs from seed ${from}`, async () => {
    const problems: string[] = [];
    for (let first = from; first < from + runs; first += atOnce) {
      const seeds = Array.from({ length: Math.min(atOnce, from + runs - first) }, (_, index) => first + index);
      const results = await Promise.all(seeds.map((seed) => run(seed)));
      problems.push(...results.flat());
    }
    expect(problems).toEqual([]);
  });

  async function run(seed: number): Promise<string[]> {
    const numbers = new Random(seed);
    const random = () => numbers.next();
    const urls = world.instances.map(({ url }) => url);
    const pick = <Value>(values: readonly Value[]) => numbers.pick(values);
    const roomId = await kim.group(5);
    const proxy = await startTcpProxy(pick(urls));
    const disk = new Map<string, KeyValueStore>();
    let isCut = false;
    const open = (url: string, storage: Map<string, KeyValueStore> | undefined): Fairway => {
      const fairway = createFairway({
        url: `${url}graphql`,
        getToken: () => kim.token,
        environment: createEnvironment({
          WebSocket,
          openStorage: async (name) => {
            if (storage === undefined) throw new Error('Nothing is stored');
            const store = storage.get(name) ?? createMemoryStore();
            storage.set(name, store);
            return store;
          },
        }),
      });
      fairway.room(roomId).subscribe(() => undefined);
      return fairway;
    };
    let fairway = open(proxy.url, disk);
    const room = () => fairway.room(roomId);
    await waitFor(() => room().getSnapshot().status === 'ready', { what: `the room of seed ${seed}` });
    const sent: string[] = [];
    const texts: string[] = [];
    const newText = () => {
      texts.push(`text ${texts.length}`);
      return texts.at(-1) as string;
    };
    const own = () =>
      room()
        .getSnapshot()
        .messages.filter(({ canEdit, sender }) => canEdit && sender.id === '4');
    const edited = new Set<string>();
    const happenings: (() => unknown)[] = [
      ...Array.from({ length: 3 }, () => () => sent.push(room().send(newText()))),
      ...Array.from({ length: 3 }, () => () => lee.send(roomId, newText())),
      () => {
        const message = own().at(-1);
        if (message === undefined) return;
        edited.add(message.id);
        room().edit(message.id, newText());
      },
      () => {
        const message = own()[0];
        if (message === undefined) return;
        edited.add(message.id);
        room().delete(message.id);
      },
      async () => {
        isCut = true;
        await proxy.cut({ silently: random() < 0.5 });
      },
      async () => {
        isCut = false;
        await proxy.restore();
        fairway.reconnectNow();
      },
      () => proxy.redirect(pick(urls)),
      () => {
        fairway.close();
        fairway = open(proxy.url, disk);
      },
    ];
    for (let step = 0; step < steps; step += 1) {
      await pick(happenings)();
      await new Promise((resolve) => setTimeout(resolve, random() * 150));
      // The connections that were cut without a word do not end by themselves.
      if (isCut && random() < 0.3) {
        isCut = false;
        await proxy.restore();
        fairway.reconnectNow();
      }
    }
    await proxy.restore();
    fairway.reconnectNow();
    const isQuiet = () => {
      for (const { id, error } of fairway.outbox.getSnapshot()) {
        // A message that was deleted meanwhile cannot be changed.
        if (error === 'CONFLICT') fairway.outbox.discard(id);
        else if (error !== null) fairway.outbox.retry(id);
      }
      return fairway.outbox.getSnapshot().length === 0 && room().getSnapshot().status === 'ready';
    };
    await waitFor(isQuiet, { what: `seed ${seed} to be quiet` });
    const fresh = open(`${pick(urls)}/`, undefined);
    await waitFor(() => fresh.room(roomId).getSnapshot().status === 'ready', { what: 'the fresh client' });
    const view = (one: Fairway) =>
      one
        .room(roomId)
        .getSnapshot()
        .messages.map(({ id, seq, content, status, unreadMemberCount }) =>
          [id, seq, content, status, unreadMemberCount].join(),
        );
    const problems: string[] = [];
    await waitFor(() => JSON.stringify(view(fairway)) === JSON.stringify(view(fresh)), { what: 'both to agree' }).catch(
      () => problems.push(`seed ${seed}: ${JSON.stringify(view(fairway))} is not ${JSON.stringify(view(fresh))}`),
    );
    const rows = await world.database.query('SELECT id, seq FROM chat_messages WHERE room_id = $1 ORDER BY seq', [
      roomId,
    ]);
    const order = rows.map(({ id }) => String(id)).filter((id) => sent.includes(id));
    const expected = sent.filter((id) => order.includes(id) || !edited.has(id));
    if (JSON.stringify(order) !== JSON.stringify(expected))
      problems.push(`seed ${seed}: ${order} were stored, not ${expected}`);
    fairway.close();
    fresh.close();
    await proxy.stop();
    return problems;
  }
});
