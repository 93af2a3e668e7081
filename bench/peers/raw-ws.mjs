import { WebSocketServer } from 'ws';
import { createMessage, tellReady } from './message.mjs';

/** Bare ws: one ready string to everybody who is connected. */
const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
server.on('connection', (socket) => {
  socket.on('message', (data) => {
    const text = JSON.stringify(createMessage(JSON.parse(data).content));
    for (const client of server.clients) if (client !== socket && client.readyState === 1) client.send(text);
  });
});
server.on('listening', () => tellReady(server.address().port));
