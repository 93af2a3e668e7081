import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { createMessage, tellReady } from './message.mjs';

/** Socket.IO 4 over WebSocket, with a room as in its documentation. */
const http = createServer();
const io = new Server(http, { transports: ['websocket'], serveClient: false });
io.on('connection', (socket) => {
  socket.on('join', (roomId, acknowledge) => {
    socket.join(roomId);
    acknowledge('ok');
  });
  socket.on('send', ({ roomId, content }, acknowledge) => {
    const message = createMessage(content);
    io.to(roomId).emit('message', message);
    acknowledge({ id: message.id, seq: message.seq, createdAt: message.createdAt });
  });
});
http.listen(0, '127.0.0.1', () => tellReady(http.address().port));
