import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, expect, it } from 'vitest';
import type { Instance } from '../support/instance.js';
import { markRead } from '../support/operations.js';
import { becomesReady } from '../support/readiness.js';
import { describeWithNats } from '../support/requirements.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { useWorld } from '../support/world.js';

/** Shorter than the server takes to notice that a connection passes nothing on. */
const stallMs = 8_000;

describeWithNats('a read mark over one instance, for a subscriber at another one', () => {
  const world = useWorld({ instances: 0 });
  const ways: TcpProxy[] = [];
  beforeAll(async () => {
    for (let place = 0; place < 2; place += 1) {
      const way = await startTcpProxy(world.nats.url);
      ways.push(way);
      await becomesReady(await world.start({ NATS_URL: way.url }), { nats: 'ok' });
    }
    return async () => {
      await Promise.all(world.instances.map((instance) => instance.kill()));
      await Promise.all(ways.map((way) => way.stop()));
    };
  });

  it("arrives though NATS refused only the subscriber's instance", async () => {
    await expectMark(async (mark) => {
      await lose(1);
      await mark();
      await regain(1);
    });
  });

  it.each([
    ["the reader's", 0],
    ["the subscriber's", 1],
  ])('arrives though the connection of %s instance passed nothing on before it was lost', async (_whose, place) => {
    await expectMark(async (mark) => {
      await ways[place]?.cut({ silently: true });
      await mark();
      await delay(stallMs);
      await lose(place);
      await regain(place);
    });
  });

  it("arrives though the subscriber's instance reconnects after the reader's has published it again", async () => {
    await expectMark(async (mark) => {
      await lose(1);
      await lose(0);
      await mark();
      await regain(0);
      // Longer than the reader's instance waits before it publishes states again.
      await delay(4_000);
      await regain(1);
    });
  });

  /** Runs an outage in which `mark` moves a read mark over the first instance, which a subscriber at the second one gets. */
  async function expectMark(outage: (mark: () => Promise<unknown>) => Promise<void>): Promise<void> {
    const [kim, lee] = [await world.client(4, 0), await world.client(5, 1)];
    const roomId = await kim.group(5);
    const feed = lee.roomEvents({ roomId });
    await feed.until((events) => events.some(({ __typename }) => __typename === 'RoomReady'), 'RoomReady');
    const { message } = await lee.send(roomId, 'read this');
    await feed.until((events) => events.some((event) => 'message' in event), 'the message');

    await outage(() => kim.http(markRead, { input: { roomId, messageId: message.id } }));

    await feed.until((events) => events.some(({ __typename }) => __typename === 'MemberRead'), 'MemberRead');
    const marks = feed.events.filter(({ __typename }) => __typename === 'MemberRead');
    expect(marks).toMatchObject([{ member: { user: { id: '4' }, lastReadSeq: message.seq } }]);
  }

  async function lose(place: number): Promise<void> {
    await ways[place]?.cut();
    await becomesReady(world.instances[place] as Instance, { nats: 'away' });
  }

  async function regain(place: number): Promise<void> {
    await ways[place]?.restore();
    await becomesReady(world.instances[place] as Instance, { nats: 'ok' });
  }
});
