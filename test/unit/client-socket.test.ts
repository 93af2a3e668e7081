import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { pino } from 'pino';
import { expect, it, onTestFinished, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { Slices } from '../../src/domain/slices.js';
import { UnreadAnswers } from '../../src/server/graphql/limits/unread-answers.js';
import { ClientSocket } from '../../src/server/ws/client-socket.js';
import { waitFor } from '../support/wait-for.js';

it('processes a held message before all later ones, and asks for the delay of each once', async () => {
  const { peer, socket } = await connect();
  const delayed: string[] = [];
  const taken: string[] = [];
  const releases: (() => void)[] = [];
  socket.onMessage(
    async (text) => {
      if (!text.startsWith('held')) taken.push(text);
      else socket.hold(new Promise<void>((resolve) => releases.push(resolve)), async () => void taken.push(text));
    },
    (text) => {
      delayed.push(text);
      return text === 'delayed' && !delayed.slice(0, -1).includes(text) ? 5 : 0;
    },
  );
  const sent = ['at once', 'held 1', 'behind', 'delayed', 'held 2', 'held 3', 'last'];
  for (const text of sent) peer.send(text);
  for (let held = 1; held <= 3; held += 1) {
    await waitFor(() => releases.length === held, { what: `held message ${held}` });
    expect(taken).toEqual(sent.slice(0, sent.indexOf(`held ${held}`)));
    releases.at(-1)?.();
  }
  await waitFor(() => taken.length === sent.length, { what: 'all messages' });
  expect(taken).toEqual(sent);
  expect(delayed.filter((text) => text !== 'delayed')).toEqual(sent.filter((text) => text !== 'delayed'));
});

it('drops a held message when the socket closes', async () => {
  const { peer, socket } = await connect();
  let release = () => {};
  let isHeld = false;
  const until = new Promise<void>((resolve) => {
    release = resolve;
  });
  const work = vi.fn(async () => undefined);
  socket.onMessage(
    async () => {
      socket.hold(until, work);
      isHeld = true;
    },
    () => 0,
  );
  peer.send('held');
  await waitFor(() => isHeld, { what: 'the message' });
  peer.terminate();
  socket.cutOff();
  release();
  await until;
  await new Promise(setImmediate);
  expect(work).not.toHaveBeenCalled();
});

/** Both ends of one connection. */
async function connect(): Promise<{ peer: WebSocket; socket: ClientSocket }> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  onTestFinished(() => server.close());
  await once(server, 'listening');
  const opened = once(server, 'connection');
  const peer = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  onTestFinished(() => peer.terminate());
  const [[webSocket, request]] = (await Promise.all([opened, once(peer, 'open')])) as unknown as [
    [WebSocket, { socket: Socket }],
  ];
  const options = { unread: new UnreadAnswers(1_000_000, new Slices()), log: pino({ level: 'silent' }), pingTurn: 0 };
  return { peer, socket: new ClientSocket(webSocket, request.socket, options) };
}
