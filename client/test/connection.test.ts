import { describe, expect, it } from 'vitest';
import { Backoff } from '../src/connection/backoff.js';
import { createEventParser } from '../src/connection/sse.js';
import { Simulation } from './simulation.js';

it('reads server-sent events that are cut at any byte', () => {
  const text =
    'event: next\ndata: {"data":"안녕 👋"}\n\n:\n\nevent: next\r\ndata: 1\r\ndata: 2\r\n\r\nevent: complete\ndata:\n\n';
  const bytes = new TextEncoder().encode(text);
  const read = (pieces: readonly Uint8Array[]) => {
    const events: string[] = [];
    const parse = createEventParser((event, data) => events.push(`${event} ${data}`));
    const decoder = new TextDecoder();
    const ends = pieces.map((piece) => parse(decoder.decode(piece, { stream: true })));
    return { events, isComplete: ends.some(Boolean) };
  };
  const whole = { events: ['next {"data":"안녕 👋"}', 'next 1\n2'], isComplete: true };
  expect(read([bytes])).toEqual(whole);
  for (let at = 1; at < bytes.length; at += 1) {
    expect(read([bytes.slice(0, at), bytes.slice(at)]), `cut at ${at}`).toEqual(whole);
  }
  expect(read([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(whole);
});

it('waits at most 3, 6, 12, 24 and then 30 s, and anything below', () => {
  const longest = new Backoff({ random: () => 1 });
  expect(Array.from({ length: 6 }, () => longest.next())).toEqual([3_000, 6_000, 12_000, 24_000, 30_000, 30_000]);
  expect(new Backoff({ random: () => 0 }).next()).toBe(0);
});

describe('a page that ends', () => {
  it('sends what was seen as its last word, and keeps the draft', async () => {
    const simulation = new Simulation();
    const { clock, server, browser } = simulation;
    const { id: roomId } = server.createRoom(['4', '5']);
    const { id } = server.send(roomId, '5', 'text');
    const { tab, fairway } = simulation.open();
    const sent: (boolean | undefined)[] = [];
    const { fetch } = tab.network;
    tab.network.fetch = (url, init) => {
      sent.push(init.keepalive);
      return fetch.call(tab.network, url, init);
    };
    const room = fairway.room(roomId);
    room.subscribe(() => undefined);
    await clock.until(() => room.getSnapshot().status === 'ready', 10_000);
    room.see(id);
    room.setDraft('half');
    await clock.advance(100);
    sent.length = 0;
    tab.tell('leaving');
    expect(sent).toEqual([]);
    await clock.advance(0);
    expect(sent).toEqual([true]);
    tab.kill();
    await clock.advance(1_000);
    expect(server.rooms.get(roomId)?.members.get('4')?.lastReadSeq).toBe(1);
    expect(await browser.readDisk()).toContain('half');
  });
});
