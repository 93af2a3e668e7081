import { describe, expect, it } from 'vitest';
import { ModelRefusal } from '../conformance/model-server.js';
import { createToken } from '../conformance/simulated-network.js';
import type { FileToSend } from '../src/fairway.js';
import { type Client, Simulation } from './simulation.js';

const file = (name: string, size = 1_000, type = 'image/png'): FileToSend => ({
  name,
  blob: new Blob(['x'.repeat(size)], { type }),
});

/** A room of users 4 and 5, which is open and ready for user 4. */
async function openRoom(simulation = new Simulation(), roomId = simulation.server.createRoom(['4', '5']).id) {
  const { clock, server } = simulation;
  const open = async (client: Client = simulation.open()) => {
    const room = client.fairway.room(roomId);
    room.subscribe(() => undefined);
    await clock.until(() => room.getSnapshot().status === 'ready', 20_000);
    return { ...client, room, shown: () => room.getSnapshot().messages };
  };
  const stored = () =>
    server.rooms.get(roomId)?.messages.map(({ content, files }) => [content, ...files.map(({ name }) => name)]);
  const countOf = (name: string) => server.executed.filter((one) => one.name === name).length;
  return { simulation, clock, server, roomId, open, stored, countOf, ...(await open()) };
}

it('sends files with a caption as one message, in the order in which they were given', async () => {
  const { clock, room, shown, stored, countOf } = await openRoom();
  room.sendFiles([file('a.png'), file('b.pdf', 50_000, 'application/pdf'), file('c.png')], 'look');
  expect(shown()[0]).toMatchObject({
    type: 'FILE',
    content: 'look',
    status: 'pending',
    attachments: [
      { name: 'a.png', kind: 'IMAGE', status: 'PENDING', progress: 0, previewUrl: expect.stringContaining('blob:') },
      { name: 'b.pdf', kind: 'FILE', byteSize: 50_000 },
      { name: 'c.png' },
    ],
  });
  await clock.until(() => shown()[0]?.status === 'sent', 10_000);
  expect(stored()).toEqual([['look', 'a.png', 'b.pdf', 'c.png']]);
  expect(shown()[0]?.attachments.map(({ status }) => status)).toEqual(['READY', 'READY', 'READY']);
  expect([countOf('CreateUpload'), countOf('SendMessage')]).toEqual([3, 1]);
});

it('keeps the order of the room: a text waits for the files before it, in another room it does not', async () => {
  const { simulation, clock, server, room, fairway, tab, shown, stored } = await openRoom();
  const other = server.createRoom(['4', '5']);
  tab.network.bytesPerMs = 10;
  room.sendFiles([file('slow.png', 500_000)]);
  room.send('behind');
  fairway.room(other.id).send('elsewhere');
  await clock.advance(5_000);
  expect(stored()).toEqual([]);
  expect(simulation.server.rooms.get(other.id)?.messages.map(({ content }) => content)).toEqual(['elsewhere']);
  expect(shown().map(({ status }) => status)).toEqual(['pending', 'pending']);
  await clock.until(() => stored()?.length === 2, 120_000);
  expect(stored()).toEqual([['', 'slow.png'], ['behind']]);
});

it('refuses at once what the server would refuse', async () => {
  const { clock, room, shown } = await openRoom();
  await clock.advance(1_000);
  expect(() => room.sendFiles([file('huge.png', 1_000_001)])).toThrowError(
    expect.objectContaining({ code: 'FILE_TOO_LARGE' }),
  );
  expect(() => room.sendFiles([file('empty.png', 0)])).toThrowError(expect.objectContaining({ code: 'FILE_BROKEN' }));
  expect(() => room.sendFiles([])).toThrowError(expect.objectContaining({ code: 'BAD_USER_INPUT' }));
  expect(() => room.sendFiles(Array.from({ length: 11 }, () => file('a.png')))).toThrow();
  expect(shown()).toEqual([]);
});

describe('a cut, a reload, and a cut with a reload, at every moment of the way', () => {
  // The whole way takes about half a second.
  const moments = Array.from({ length: 28 }, (_, index) => index * 20);

  it.each(moments)('after %i ms: sent once, nothing lost', async (moment) => {
    for (const happening of ['cut', 'reload', 'both', 'silence'] as const) {
      const { simulation, clock, server, room, tab, fairway, open, stored } = await openRoom(
        new Simulation(moment + 1),
      );
      tab.network.bytesPerMs = 500;
      room.send('before');
      room.sendFiles([file('a.png', 100_000), file('b.png', 20_000)], 'caption');
      room.send('after');
      await clock.advance(1);
      await clock.advance(moment);
      if (happening === 'silence') tab.network.silence();
      else if (happening !== 'reload') tab.network.cut();
      let now = { tab, fairway, room };
      if (happening === 'reload' || happening === 'both') {
        await clock.advance(10);
        tab.kill();
        now = simulation.open() as typeof now;
        now.fairway.room(room.id).subscribe(() => undefined);
      }
      await clock.advance(1_500);
      now.tab.network.restore();
      await clock.until(() => stored()?.length === 3, 180_000);
      await clock.until(() => now.fairway.outbox.getSnapshot().length === 0, 60_000);
      expect(stored()).toEqual([['before'], ['caption', 'a.png', 'b.png'], ['after']]);
      expect(server.files.size).toBe(2);
      const { room: other, shown } = await open();
      expect(other.getSnapshot().messages).toHaveLength(3);
      expect(shown()[1]?.attachments.map(({ name }) => name)).toEqual(['a.png', 'b.png']);
      now.fairway.close();
    }
  });
});

it('starts a broken request again under the same id, and counts its refusals as failures', async () => {
  const { clock, server, room, shown, fairway } = await openRoom();
  const { receive } = server;
  let refused = 0;
  server.receive = () => {
    refused += 1;
    return 500;
  };
  const id = room.sendFiles([file('a.png')]);
  await clock.until(() => shown()[0]?.status === 'failed', 300_000);
  expect(shown()[0]?.error).toBe('UNAVAILABLE');
  expect(refused).toBe(5);
  server.receive = receive;
  fairway.outbox.retry(id);
  await clock.until(() => shown()[0]?.status === 'sent', 60_000);
  expect([...server.files.values()].map(({ arrived }) => arrived)).toEqual([1]);
});

it('ends with the reason where the server refuses a file, and holds back what is behind it', async () => {
  const { clock, room, shown, stored, fairway } = await openRoom();
  const id = room.sendFiles([file('a.png'), file('b.exe', 10, 'application/x-forbidden')]);
  room.send('behind');
  await clock.until(() => shown()[0]?.status === 'failed', 10_000);
  expect(shown()[0]).toMatchObject({
    error: 'FILE_TYPE_NOT_ALLOWED',
    attachments: [{ status: 'PENDING' }, { status: 'FAILED', failure: 'TYPE_NOT_ALLOWED' }],
  });
  expect(shown()[1]?.status).toBe('waiting');
  fairway.outbox.discard(id);
  await clock.until(() => stored()?.length === 1, 10_000);
  expect(stored()).toEqual([['behind']]);
});

it('says which file was refused, and sends the rest without it if that is wanted', async () => {
  const { clock, server, room, shown, stored, fairway } = await openRoom();
  const type = 'application/x-forbidden';
  const id = room.sendFiles([file('a.png'), file('b.exe', 1_000, type), file('c.png')], 'look');
  await clock.until(() => shown()[0]?.status === 'failed', 20_000);
  const refused = () => shown()[0]?.attachments.filter(({ status }) => status === 'FAILED') ?? [];
  expect(refused().map(({ name, failure }) => [name, failure])).toEqual([['b.exe', 'TYPE_NOT_ALLOWED']]);
  fairway.outbox.retryWithout(id, []);
  fairway.outbox.retryWithout('nobody', ['x']);
  expect(shown()[0]?.status).toBe('failed');
  fairway.outbox.retryWithout(
    id,
    refused().map(({ id }) => id),
  );
  fairway.outbox.retryWithout(id, shown()[0]?.attachments.map(({ id }) => id) ?? []);
  expect(shown()[0]?.attachments.map(({ name }) => name)).toEqual(['a.png', 'c.png']);
  await clock.until(() => shown()[0]?.status === 'sent', 20_000);
  expect(stored()).toEqual([['look', 'a.png', 'c.png']]);

  const alone = room.sendFiles([file('d.exe', 1_000, type)], 'only words');
  await clock.until(() => shown()[1]?.status === 'failed', 20_000);
  fairway.outbox.retryWithout(alone, shown()[1]?.attachments.map(({ id }) => id) ?? []);
  await clock.until(() => shown()[1]?.status === 'sent', 20_000);
  expect(stored()?.[1]).toEqual(['only words']);

  const silent = room.sendFiles([file('e.exe', 1_000, type)]);
  await clock.until(() => shown()[2]?.status === 'failed', 20_000);
  fairway.outbox.retryWithout(silent, shown()[2]?.attachments.map(({ id }) => id) ?? []);
  await clock.advance(1_000);
  expect([shown().length, fairway.outbox.getSnapshot().length]).toEqual([2, 0]);
  expect(server.rooms.get(room.id)?.messages).toHaveLength(2);
});

it('sends nothing of what was discarded on its way, and keeps none of its bytes', async () => {
  const { simulation, clock, server, room, shown, stored, tab, fairway } = await openRoom();
  tab.network.bytesPerMs = 10;
  const id = room.sendFiles([file('a.png', 100_000)]);
  await clock.advance(3_000);
  fairway.outbox.discard(id);
  expect(shown()).toEqual([]);
  await clock.advance(120_000);
  expect(stored()).toEqual([]);
  expect([...server.files.values()].map(({ arrived, status }) => [arrived, status])).toEqual([[0, 'PENDING']]);
  const disk = await simulation.browser.openStorage(simulation.browser.openTab(), 'fairway:http://server/graphql:4');
  expect(await disk.entries('files')).toEqual([]);
});

it('keeps no bytes of what was sent, and erases all when somebody signs out', async () => {
  const { simulation, clock, room, stored, fairway, tab } = await openRoom();
  const disk = await simulation.browser.openStorage(simulation.browser.openTab(), 'fairway:http://server/graphql:4');
  room.sendFiles([file('a.png')]);
  await clock.until(() => stored()?.length === 1, 10_000);
  await clock.advance(1_000);
  expect(await disk.entries('files')).toEqual([]);
  tab.network.cut();
  room.sendFiles([file('b.png')]);
  await clock.advance(1_000);
  expect(await disk.entries('files')).toHaveLength(1);
  await Promise.all([fairway.signOut(), clock.advance(20_000)]);
  expect(await disk.entries('files')).toEqual([]);
});

it('is delivered once by two tabs, also if the one that uploads is closed', async () => {
  const { simulation, clock, server, roomId, open, stored, ...one } = await openRoom();
  const other = await open();
  one.tab.network.bytesPerMs = 20;
  one.room.sendFiles([file('a.png', 400_000)]);
  await clock.advance(15_000);
  // Longer than a delivery may take: the other tab does not begin as well.
  expect([...server.files.values()].map(({ arrived }) => arrived)).toEqual([0]);
  expect(other.shown()[0]).toMatchObject({ status: 'pending', attachments: [{ name: 'a.png' }] });
  await clock.until(() => other.shown()[0]?.attachments[0]?.previewUrl?.startsWith('blob:') === true, 1_000);
  expect(other.shown()[0]?.attachments[0]?.previewUrl).toContain('blob:');
  one.tab.kill();
  await clock.until(() => stored()?.length === 1, 60_000);
  await clock.advance(60_000);
  expect(stored()).toEqual([['', 'a.png']]);
  expect([...server.files.values()].map(({ arrived }) => arrived)).toEqual([1]);
  expect(simulation.server.executed.filter(({ name }) => name === 'SendMessage')).toHaveLength(1);
  expect(other.shown().map(({ status }) => status)).toEqual(['sent']);
  expect(roomId).toBe(other.room.id);
});

it('says that the device is full, loses nothing else, and sends from memory if that is wanted', async () => {
  const { simulation, clock, room, shown, stored, fairway } = await openRoom();
  simulation.browser.isFull = true;
  const id = room.sendFiles([file('a.png')]);
  room.send('text');
  await clock.until(() => shown()[0]?.status === 'failed', 10_000);
  expect(shown().map(({ error, status }) => [error, status])).toEqual([
    ['FILE_NOT_STORED', 'failed'],
    [null, 'waiting'],
  ]);
  expect(fairway.connection.getSnapshot().isStorageDurable).toBe(true);
  fairway.outbox.retry(id);
  await clock.until(() => stored()?.length === 2, 10_000);
  expect(stored()).toEqual([['', 'a.png'], ['text']]);
});

it('says that the bytes are lost if a full device was closed before they were sent', async () => {
  const { simulation, clock, room, tab, open } = await openRoom();
  simulation.browser.isFull = true;
  tab.network.cut();
  const id = room.sendFiles([file('a.png')], 'caption');
  await clock.advance(1_000);
  tab.kill();
  await clock.advance(120_000);
  const again = await open();
  await clock.until(() => again.shown()[0]?.status === 'failed', 20_000);
  again.fairway.outbox.retry(id);
  await clock.until(() => again.shown()[0]?.error === 'FILE_LOST', 20_000);
  expect(again.shown()[0]).toMatchObject({ id, content: 'caption', error: 'FILE_LOST' });
});

it('works in memory where there is no storage', async () => {
  const simulation = new Simulation();
  simulation.browser.isStorageThere = false;
  const { clock, room, stored } = await openRoom(simulation);
  room.sendFiles([file('a.png')]);
  await clock.until(() => stored()?.length === 1, 20_000);
  expect(stored()).toEqual([['', 'a.png']]);
});

it('sends what it has under another id after the server has removed a file that waited too long', async () => {
  const { clock, server, room, stored, shown, countOf } = await openRoom();
  server.refuse = (name) => (name === 'SendMessage' ? new ModelRefusal('RATE_LIMITED', 60_000) : undefined);
  room.sendFiles([file('a.png')]);
  await clock.until(() => countOf('SendMessage') === 1, 10_000);
  for (const one of server.files.values()) one.status = 'EXPIRED';
  server.refuse = () => undefined;
  await clock.until(() => stored()?.length === 1, 200_000);
  expect(stored()).toEqual([['', 'a.png']]);
  await clock.until(() => shown()[0]?.status === 'sent', 10_000);
  expect([...server.files.values()].map(({ status }) => status)).toEqual(['EXPIRED', 'READY']);
});

it('shows and sends nothing of one user to another', async () => {
  const { simulation, clock, room, tab, roomId, stored, fairway } = await openRoom();
  simulation.server.rooms
    .get(roomId)
    ?.members.set('6', { joinedSeq: 0, lastReadSeq: 0, isAdmin: false, hasLeft: false });
  tab.network.cut();
  room.sendFiles([file('secret.png')]);
  await clock.advance(1_000);
  simulation.getToken = async () => createToken('6', clock.now, 3_600_000);
  await clock.advance(1_000);
  tab.network.refusesTokensBefore = Math.floor(clock.now / 1_000) * 1_000;
  tab.network.restore();
  await clock.until(() => fairway.viewer.getSnapshot()?.id === '6', 120_000);
  await clock.advance(60_000);
  expect(stored()).toEqual([]);
  expect(room.getSnapshot().messages).toEqual([]);
});
