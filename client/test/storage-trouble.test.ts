import { expect, it } from 'vitest';
import { ModelRefusal } from '../conformance/model-server.js';
import { createToken } from '../conformance/simulated-network.js';
import { type Client, Simulation } from './simulation.js';

/** A room of users 4 and 5, open in two tabs of user 4. */
async function openTwoTabs() {
  const simulation = new Simulation();
  const { clock, server } = simulation;
  const { id: roomId } = server.createRoom(['4', '5']);
  const open = async () => {
    const client = simulation.open();
    const room = client.fairway.room(roomId);
    room.subscribe(() => undefined);
    await clock.until(() => room.getSnapshot().status === 'ready', 20_000);
    return { ...client, room };
  };
  const stored = () => server.rooms.get(roomId)?.messages.map(({ content }) => content);
  /** A write of this tab fails once, and the database is back a little later. */
  const hiccup = async ({ tab, fairway }: Client) => {
    tab.isStorageFailing = true;
    fairway.room(roomId).setDraft('x');
    await clock.advance(2_000);
    expect(fairway.connection.getSnapshot().isStorageDurable).toBe(false);
    tab.isStorageFailing = false;
    await clock.until(() => fairway.connection.getSnapshot().isStorageDurable, 20_000);
  };
  return { simulation, clock, server, roomId, open, stored, hiccup, one: await open(), other: await open() };
}

it('never sends what another tab has discarded, although the database was away', async () => {
  const { clock, one, other, stored, hiccup } = await openTwoTabs();
  one.tab.network.cut();
  other.tab.network.cut();
  const id = one.room.send('regretted');
  await clock.advance(3_000);
  other.fairway.outbox.discard(id);
  await clock.advance(3_000);
  await hiccup(one);
  one.tab.network.restore();
  other.tab.network.restore();
  await clock.advance(120_000);
  expect(stored()).toEqual([]);
});

it('never sends what another tab discards while the database is away', async () => {
  const { clock, one, other, stored } = await openTwoTabs();
  one.tab.network.cut();
  other.tab.network.cut();
  const id = one.room.send('regretted');
  await clock.advance(3_000);
  one.tab.isStorageFailing = true;
  one.room.setDraft('x');
  await clock.advance(2_000);
  other.fairway.outbox.discard(id);
  await clock.advance(1_000);
  one.tab.isStorageFailing = false;
  await clock.advance(20_000);
  one.tab.network.restore();
  other.tab.network.restore();
  await clock.advance(120_000);
  expect(stored()).toEqual([]);
});

it('never repeats an old edit after a newer one, although the database was away', async () => {
  const { simulation, clock, server, roomId, one, other, stored, hiccup } = await openTwoTabs();
  other.tab.kill();
  const message = server.send(roomId, '4', 'original');
  await clock.advance(2_000);
  one.tab.network.cut();
  one.room.edit(message.id, 'first edit');
  await clock.advance(2_000);
  // A tab that is opened meanwhile has read the edit, too.
  const later = simulation.open();
  later.tab.network.cut();
  later.fairway.room(roomId).subscribe(() => undefined);
  await clock.until(() => later.fairway.outbox.getSnapshot().length === 1, 10_000);
  one.tab.network.restore();
  await clock.until(() => stored()?.[0] === 'first edit', 60_000);
  later.tab.network.restore();
  await clock.advance(60_000);
  one.room.edit(message.id, 'second edit');
  await clock.advance(60_000);
  await hiccup(later);
  await clock.advance(60_000);
  expect(stored()).toEqual(['second edit']);
});

it('brings back what it has if the database was emptied meanwhile', async () => {
  const { clock, one, other, stored, simulation } = await openTwoTabs();
  other.tab.kill();
  one.tab.network.cut();
  one.room.send('kept');
  await clock.advance(3_000);
  one.tab.isStorageFailing = true;
  one.room.setDraft('x');
  await clock.advance(1_000);
  const disk = await simulation.browser.openStorage(simulation.browser.openTab(), 'fairway:http://server/graphql:4');
  await disk.erase();
  one.tab.isStorageFailing = false;
  await clock.until(() => one.fairway.connection.getSnapshot().isStorageDurable, 20_000);
  one.tab.kill();
  const again = simulation.open().fairway;
  again.rooms.subscribe(() => undefined);
  await clock.until(() => stored()?.length === 1, 60_000);
  expect(stored()).toEqual(['kept']);
});

it('keeps a draft when the next user signs in', async () => {
  const { clock, roomId, one, other, simulation } = await openTwoTabs();
  other.tab.kill();
  simulation.getToken = async () => createToken('5', clock.now, 3_600_000);
  await clock.advance(1_000);
  one.tab.network.refusesTokensBefore = Math.floor(clock.now / 1_000) * 1_000;
  one.tab.network.drop(4403);
  // Written until the last moment.
  let text = '';
  for (let count = 0; one.fairway.viewer.getSnapshot()?.id === '4' && count < 3_000; count += 1) {
    text = `half a text ${count}`;
    one.room.setDraft(text);
    await clock.advance(20);
  }
  const disk = await simulation.browser.openStorage(simulation.browser.openTab(), 'fairway:http://server/graphql:4');
  expect(await disk.get('drafts', roomId)).toBe(text);
});

it('erases what is on the disk when somebody signs out while the database is away', async () => {
  const { clock, server, roomId, one, other, simulation } = await openTwoTabs();
  other.tab.kill();
  server.send(roomId, '5', 'secret');
  await clock.advance(5_000);
  expect(await simulation.browser.readDisk()).toContain('secret');
  one.tab.isStorageFailing = true;
  one.room.setDraft('x');
  await clock.advance(1_000);
  one.tab.isStorageFailing = false;
  await Promise.all([one.fairway.signOut(), clock.advance(20_000)]);
  expect(await simulation.browser.readDisk()).not.toContain('secret');
});

it('shows no old message as a new one while a room is being loaded', async () => {
  const simulation = new Simulation();
  const { clock, server } = simulation;
  const { id: roomId } = server.createRoom(['4', '5']);
  const old = server.send(roomId, '4', 'old');
  for (let count = 0; count < 200; count += 1) server.send(roomId, '5', `${count}`);
  const room = simulation.open().fairway.room(roomId);
  room.subscribe(() => undefined);
  server.refuse = (name) => (/^Room/.test(name) ? new ModelRefusal('UNAVAILABLE') : undefined);
  room.send('new');
  room.edit(old.id, 'old, edited');
  await clock.advance(6_000);
  expect(room.getSnapshot().messages.map(({ content }) => content)).toEqual(['new']);
});
