import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { TestClient } from '../support/client.js';
import { Inspector, inspectorEnv } from '../support/inspector.js';
import type { Instance } from '../support/instance.js';
import { messageAdded, presence, roomEvents, setTyping, typing } from '../support/operations.js';
import { openConnection, openConnections, PresenceWatch, quiet, range } from '../support/presence-watch.js';
import { describeWithNats } from '../support/requirements.js';
import { RawSocket } from '../support/wire.js';
import { nameEverybody, useWorld } from '../support/world.js';

/** The minimum time between two typing lists while the event loop is late by 200 ms. */
const listEveryMs = 2_000;
/** 12 KB each; `essays` of them exceed the operating system's buffers. */
const essay = '가'.repeat(4_000);
const essays = 1_000;

describeWithNats('presence and typing under load', () => {
  const world = useWorld({ env: { ...inspectorEnv, SEND_TIMEOUT_MS: '120000' } });
  const userIds = range(100, 20);
  let burdened: Instance;
  let spared: Instance;
  /** Kim is at the burdened instance, and Lee at the other one. */
  let kim: TestClient;
  let lee: TestClient;
  let roomId: string;

  beforeAll(async () => {
    [burdened, spared] = world.instances as [Instance, Instance];
    [kim, lee] = [await world.client(4, 0), await world.client(5, 1)];
    roomId = await kim.group(5, ...userIds);
    await nameEverybody(world);
  });

  it('come less often while the event loop is late, and are right afterwards, without delaying messages', async () => {
    const inspector = await Inspector.attach(burdened);
    onTestFinished(() => inspector.detach());
    const messages = kim.subscribe(messageAdded, { roomId });
    const watch = new PresenceWatch(kim, userIds);
    const elsewhere = new PresenceWatch(lee, userIds);
    const typists = kim.subscribe(typing, { roomId });
    await Promise.all([watch, elsewhere].map((each) => each.until('OFFLINE', userIds)));
    await typists.count(1);
    const before = messages.events.length;

    const startedAt = performance.now();
    let isBusy = true;
    const busy = inspector.keepBusy({ busyMs: 400, everyMs: 450, forMs: 120_000 }).then(() => {
      isBusy = false;
    });
    // The first late turn shows the lag.
    await quiet(500);
    await openConnections(spared, userIds);
    for (let sent = 0; sent < 5; sent += 1) await lee.send(roomId, `${sent}`);
    for (let signal = 0; signal < 16; signal += 1) {
      await lee.ws(setTyping, { input: { roomId, isTyping: signal % 2 === 1 } });
      await quiet(200);
    }
    await messages.count(before + 5);
    const lists = typists.events.length;
    const allowed = 2 + Math.ceil((performance.now() - startedAt) / listEveryMs);
    expect(isBusy, 'messages came meanwhile').toBe(true);
    await inspector.calmDown();
    await busy;
    await lee.ws(setTyping, { input: { roomId, isTyping: true } });

    await watch.until('ONLINE', userIds);
    await typists.until((events) => events.at(-1)?.typing.users.some(({ id }) => id === '5') === true, 'who types');
    expect(lists, 'typing lists under load, of 16 signals').toBeLessThanOrEqual(allowed);
    for (const userId of userIds.slice(1))
      expect(watch.statuses(userId), 'once for each').toEqual(['OFFLINE', 'ONLINE']);
  });

  it('send only the newest state to a socket that did not read', async () => {
    const [visitorId, stayingId] = [201, 202];
    await kim.group(5, visitorId, stayingId);
    await nameEverybody(world);
    const watch = new PresenceWatch(lee, [visitorId, stayingId]);
    const reader = await TestClient.create(burdened, 4);
    const slow = await RawSocket.connect(burdened, reader.token);
    onTestFinished(() => slow.ws.terminate());
    slow.subscribe('presence', {
      query: presence.toString(),
      variables: { userIds: [visitorId, stayingId].map(String) },
    });
    slow.subscribe('room', { query: roomEvents.toString(), variables: { roomId } });
    const statuses = (userId: number) =>
      slow.messages
        .filter(({ id, type }) => id === 'presence' && type === 'next')
        .map(({ payload }) => (payload as { data: { presence: Presence } }).data.presence)
        .filter(({ user }) => user.id === String(userId))
        .map(({ status }) => status);
    await slow.until(() => statuses(visitorId).length + statuses(stayingId).length === 2, 'the first states');
    await slow.until(({ id, type }) => id === 'room' && type === 'next', 'the room');

    slow.ws.pause();
    await Promise.all(
      range(0, 20).map(async () => {
        for (let sent = 0; sent < essays / 20; sent += 1) await lee.sendOverWs(roomId, essay);
      }),
    );
    const [visit] = await openConnections(spared, [visitorId, stayingId]);
    await watch.until('ONLINE', [visitorId, stayingId]);
    visit?.ws.close();
    await watch.until('OFFLINE', [visitorId]);
    // Longer than the server takes to send the last change.
    await quiet(1_000);

    slow.ws.resume();
    await slow.until(() => statuses(stayingId).at(-1) === 'ONLINE', 'who came');
    await slow.until(() => statuses(visitorId).length > 1, 'who came and went');
    expect(statuses(stayingId)).toEqual(['OFFLINE', 'ONLINE']);
    expect(statuses(visitorId)).toEqual(['OFFLINE', 'OFFLINE']);
    await openConnection(spared, visitorId);
    await slow.until(() => statuses(visitorId).at(-1) === 'ONLINE', 'what comes next');
  });
});

interface Presence {
  readonly user: { readonly id: string };
  readonly status: string;
}
