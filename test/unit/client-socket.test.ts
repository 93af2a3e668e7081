import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { pino } from 'pino';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { UnreadAnswers } from '../../src/server/graphql/limits/unread-answers.js';
import { ClientSocket } from '../../src/server/ws/client-socket.js';
import { waitFor } from '../support/wait-for.js';

it('passes on postponed messages in their order, and asks once for the delay of each', async () => {
  const { peer, socket } = await connect();
  const delayed: string[] = [];
  const taken: string[] = [];
  let postponed = 0;
  socket.onMessage(
    async (text) => {
      if (text.startsWith('new') && socket.postpone(text, { ms: 1, times: 3 })) postponed += 1;
      else taken.push(text);
    },
    (text) => {
      delayed.push(text);
      return 0;
    },
  );
  const sent = ['known 1', 'new 1', 'known 2', 'known 3', 'new 2', 'new 3', 'known 4'];
  for (const text of sent) peer.send(text);
  await waitFor(() => taken.length === sent.length || undefined, { what: 'all messages' });
  expect(taken).toEqual(sent);
  expect(delayed).toEqual(sent);
  expect(postponed).toBe(9);
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
  const options = { unread: new UnreadAnswers(1_000_000), log: pino({ level: 'silent' }), pingTurn: 0 };
  return { peer, socket: new ClientSocket(webSocket, request.socket, options) };
}
