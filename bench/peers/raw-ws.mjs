import { WebSocketServer } from 'ws';
import { createMessage, tellReady } from './message.mjs';

/** Bare ws: sends one prepared string to every socket that has joined. */
const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
const joined = new Set();
server.on('connection', (socket) => {
  socket.on('message', (data) => {
    const { join, content } = JSON.parse(data);
    if (join) {
      joined.add(socket);
      socket.send('"joined"');
      return;
    }
    const text = JSON.stringify(createMessage(content));
    for (const client of joined) if (client.readyState === 1) client.send(text);
  });
  socket.on('close', () => joined.delete(socket));
});
server.on('listening', () => tellReady(server.address().port));
