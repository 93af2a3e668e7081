import { expect, it } from 'vitest';
import { Simulation } from './simulation.js';

it('opens a room, receives, sends, and resumes', async () => {
  const simulation = new Simulation();
  const { clock, server } = simulation;
  const { id: roomId } = server.createRoom(['4', '5']);
  server.send(roomId, '5', 'one');
  const { tab, fairway } = simulation.open();
  const room = fairway.room(roomId);
  const stop = room.subscribe(() => undefined);
  const texts = () => room.getSnapshot().messages.map(({ content, status }) => `${content}:${status}`);

  expect(await clock.until(() => room.getSnapshot().status === 'ready', 10_000)).toBe(true);
  expect(texts()).toEqual(['one:sent']);
  room.send('two');
  expect(texts()).toEqual(['one:sent', 'two:pending']);
  expect(await clock.until(() => texts()[1] === 'two:sent', 10_000)).toBe(true);
  tab.network.cut();
  expect(fairway.connection.getSnapshot().status).toBe('reconnecting');
  server.send(roomId, '5', 'three');
  room.send('four');
  await clock.advance(10_000);
  expect(texts()).toEqual(['one:sent', 'two:sent', 'four:pending']);
  tab.network.restore();
  expect(await clock.until(() => texts().length === 4 && texts()[3] === 'four:sent', 60_000)).toBe(true);
  expect(texts()).toEqual(['one:sent', 'two:sent', 'three:sent', 'four:sent']);
  stop();
  fairway.close();
  await clock.advance(60_000);
  expect(clock.pending).toBe(0);
  expect(tab.network.openConnections).toBe(0);
});
