import { documentIdOf } from '../support/documents.mjs';

/**
 * How a client of the day speaks to a system. A device sends with `emit`, and what it reads is passed to its `on` functions.
 * @typedef {import('./day-device.mjs').Device} Device
 * @typedef {object} DayDialect
 * @property {string} path
 * @property {string} [protocol]
 * @property {boolean} resumes whether a returning device gets what it missed; the other loads the newest page again
 * @property {boolean} canEdit
 * @property {(device: Device, token: string) => void} greet the answer calls `device.greeted`
 * @property {(device: Device, room: number) => void} watch
 * @property {(device: Device, op: string, room: number, id: string, content: string) => void} send
 * @property {(device: Device, op: string, id: string, content: string) => void} edit
 * @property {(device: Device, op: string, room: number, isTyping: boolean) => void} setTyping
 * @property {(device: Device, op: string, room: number, id: string) => void} markRead
 * @property {(device: Device, bytes: Buffer, start: number, end: number) => void} read a text frame
 * @property {() => HttpCall} list
 * @property {(roomId: string) => HttpCall[]} open members and newest messages
 * @property {(roomId: string, cursor: string) => HttpCall} pageBack
 * @property {(answers: any[]) => { contents: string[], cursor: string | null }} readPage oldest first, of the answers to `open` or `pageBack`
 * @property {(answer: any) => Record<string, { lastMessage: string, unreadCount: number, memberIds: number[] }>} readList
 *
 * @typedef {{ method: 'GET' | 'POST', path: string, body?: string }} HttpCall
 */

/** @param {Buffer} bytes @param {number} start @param {number} end @param {number} length */
const headOf = (bytes, start, end, length) => bytes.toString('latin1', start, Math.min(end, start + length));

const contentMark = Buffer.from('"content":"');

/**
 * The number at the start of a message's content; NaN for the history.
 * @param {Buffer} bytes @param {number} start @param {number} end
 */
function numberIn(bytes, start, end) {
  const at = bytes.subarray(start, end).indexOf(contentMark);
  if (at === -1) return Number.NaN;
  const from = start + at + contentMark.length;
  return Number.parseInt(bytes.toString('latin1', from, from + 10), 10);
}

const createdAtMark = Buffer.from('"createdAt":"');
const isoLength = '2026-01-01T00:00:00.000Z'.length;

/** When a message was committed, in ms since 1970; NaN if the frame does not say it. @param {Buffer} bytes @param {number} start @param {number} end */
function createdAtIn(bytes, start, end) {
  const at = bytes.subarray(start, end).indexOf(createdAtMark);
  const from = start + at + createdAtMark.length;
  return at === -1 ? Number.NaN : Date.parse(bytes.toString('latin1', from, from + isoLength));
}

const ids = {
  send: documentIdOf('send'),
  edit: documentIdOf('edit'),
  markRead: documentIdOf('markRead'),
  setTyping: documentIdOf('setTyping'),
  roomEvents: documentIdOf('roomEvents'),
  typing: documentIdOf('typing'),
  inbox: documentIdOf('inbox'),
};

/** @param {Device} device @param {string} op @param {string} documentId @param {object} variables */
const operate = (device, op, documentId, variables) =>
  device.emit(JSON.stringify({ id: op, type: 'subscribe', payload: { query: '', documentId, variables } }));

/** @param {Parameters<typeof documentIdOf>[0]} name @param {object} [variables] @returns {HttpCall} */
const query = (name, variables = {}) => ({
  method: 'POST',
  path: '/graphql',
  body: JSON.stringify({ documentId: documentIdOf(name), variables }),
});

/** In larger rooms, read marks come together, as docs/clients.md advises. */
const largestWithEach = 10;

const seqIn = /"seq":(\d+)/;
const epochIn = /"epoch":"([^"]+)"/;

/**
 * Fairway. The id of an operation says what it is: `e3` the events and `t3` the typing list of room 3, `i` the inbox, all
 * others mutations.
 * @type {DayDialect}
 */
const fairway = {
  path: '/graphql',
  protocol: 'graphql-transport-ws',
  resumes: true,
  canEdit: true,
  greet: (device, token) =>
    device.emit(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } })),
  watch: (device, room) => {
    const roomId = device.roomIdOf(room);
    const { seq: afterSeq, epoch } = device.positionOf(room);
    const reads = device.sizeOf(room) > largestWithEach ? 'BATCHED' : 'EACH';
    operate(device, `e${room}`, ids.roomEvents, { roomId, afterSeq, epoch, reads });
    operate(device, `t${room}`, ids.typing, { roomId });
    if (device.hasInbox && !device.isInboxOpen) {
      device.isInboxOpen = true;
      operate(device, 'i', ids.inbox, {});
    }
  },
  send: (device, op, room, id, content) =>
    operate(device, op, ids.send, { input: { id, roomId: device.roomIdOf(room), content } }),
  edit: (device, op, messageId, content) => operate(device, op, ids.edit, { input: { messageId, content } }),
  setTyping: (device, op, room, isTyping) =>
    operate(device, op, ids.setTyping, { input: { roomId: device.roomIdOf(room), isTyping } }),
  markRead: (device, op, room, messageId) =>
    operate(device, op, ids.markRead, { input: { roomId: device.roomIdOf(room), messageId } }),
  read: (device, bytes, start, end) => {
    const head = headOf(bytes, start, end, 200);
    if (!head.startsWith('{"id":"')) {
      if (head.includes('"connection_ack"')) device.greeted();
      else if (head.includes('"type":"ping"')) device.emit('{"type":"pong"}');
      return;
    }
    const op = head.slice(7, head.indexOf('"', 7));
    const isNext = head.startsWith('"type":"next"', op.length + 9);
    if (isNext && op[0] === 'e') readRoomEvent(device, Number(op.slice(1)), head, bytes, start, end);
    else if (isNext && op[0] === 't') {
      const found = JSON.parse(bytes.toString('utf8', start, end)).payload.data?.typing?.users ?? [];
      device.onTypists(
        Number(op.slice(1)),
        found.map((/** @type {{ id: string }} */ { id }) => Number(id)),
      );
    } else if (isNext && op[0] === 'i') {
      const number = numberIn(bytes, start, end);
      if (!Number.isNaN(number)) device.onInbox(number);
    } else if (isNext || head.startsWith('"type":"error"', op.length + 9)) {
      const text = bytes.toString('utf8', start, end);
      device.onAnswer(op, !text.includes('"errors"') && isNext, text);
    } else if (op[0] === 'e' || op[0] === 't' || op[0] === 'i') device.onEnded(op);
  },
  list: () => query('list'),
  open: (id) => [query('open', { id })],
  pageBack: (id, before) => query('pageBack', { id, before }),
  readPage: ([answer]) => {
    const { edges, pageInfo } = answer.data.room.messages;
    return {
      contents: edges.map((/** @type {any} */ { node }) => node.content),
      cursor: pageInfo.hasPreviousPage ? pageInfo.startCursor : null,
    };
  },
  readList: (answer) =>
    Object.fromEntries(
      answer.data.rooms.edges.map((/** @type {any} */ { node }) => [
        node.id,
        {
          lastMessage: node.lastMessage.content,
          unreadCount: node.unreadCount,
          memberIds: node.memberPage.edges.map((/** @type {any} */ edge) => Number(edge.node.user.id)),
        },
      ]),
    ),
};

/** @param {Device} device @param {number} room @param {string} head @param {Buffer} bytes @param {number} start @param {number} end */
function readRoomEvent(device, room, head, bytes, start, end) {
  const seq = Number(seqIn.exec(head)?.[1]);
  if (head.includes('"MessageAdded"')) {
    device.onMessage(room, numberIn(bytes, start, end), end - start, seq);
    device.onCommitted(room, createdAtIn(bytes, start, end));
  } else if (head.includes('"MessageUpdated"')) device.onEdited(room, seq);
  else if (head.includes('"MemberRead"') || head.includes('"MembersRead"')) device.onMark();
  else if (head.includes('"RoomReady"')) device.onLive(room, { seq, epoch: epochIn.exec(head)?.[1] });
  else device.onEnded(bytes.toString('utf8', start, end));
}

const api = '/api/user/chat';
const prefix = '42/chat,';

/** The replaced system: Socket.IO's frames in the namespace /chat, and REST. @type {DayDialect} */
const seeds = {
  path: '/socket.io/?EIO=4&transport=websocket',
  resumes: false,
  canEdit: false,
  greet: (device, token) => device.emit(`40/chat,${JSON.stringify({ token })}`),
  watch: (device, room) => call(device, `j${room}`, 'join_room', { roomId: device.roomIdOf(room) }),
  send: (device, op, room, id, content) =>
    call(device, op, 'send_message', { id, roomId: device.roomIdOf(room), content, type: 'TEXT' }),
  edit: () => undefined,
  setTyping: (device, op, room, isTyping) => {
    device.emit(`${prefix}${JSON.stringify(['typing', { roomId: device.roomIdOf(room), isTyping }])}`);
    device.onAnswer(op, true, '');
  },
  markRead: (device, op, room, messageId) =>
    call(device, op, 'mark_read', { roomId: device.roomIdOf(room), messageId }),
  read: (device, bytes, start, end) => {
    const head = headOf(bytes, start, end, 80);
    if (head.startsWith('42/chat,["new_message"')) {
      const roomId = /"roomId":"([^"]+)"/.exec(headOf(bytes, start, end, 160))?.[1] ?? '';
      device.onMessage(device.roomNumberOf(roomId), numberIn(bytes, start, end), end - start, undefined);
    } else if (head.startsWith('42/chat,["typing"')) {
      const [, { roomId, userId, isTyping }] = JSON.parse(bytes.toString('utf8', start + prefix.length, end));
      device.onTypist(device.roomNumberOf(roomId), userId, isTyping);
    } else if (head.startsWith('42/chat,["message_read"')) device.onMark();
    else if (head.startsWith('43/chat,')) {
      const at = head.indexOf('[');
      const text = bytes.toString('utf8', start + at, end);
      answered(device, head.slice(8, at), text);
    } else if (head.startsWith('42/chat,["connected"')) device.greeted();
    else if (head === '2') device.emit('3');
  },
  list: () => ({ method: 'GET', path: `${api}/rooms` }),
  open: (id) => [
    { method: 'GET', path: `${api}/rooms/${id}` },
    { method: 'GET', path: `${api}/rooms/${id}/messages?limit=50` },
  ],
  pageBack: (id, cursor) => ({ method: 'GET', path: `${api}/rooms/${id}/messages?limit=50&cursor=${cursor}` }),
  readPage: (answers) => {
    const { messages, nextCursor } = answers.at(-1).data;
    return { contents: messages.map((/** @type {any} */ { content }) => content).reverse(), cursor: nextCursor };
  },
  readList: (answer) =>
    Object.fromEntries(
      answer.data.map((/** @type {any} */ room) => [
        room.id,
        {
          lastMessage: room.lastMessage.content,
          unreadCount: room.unreadCount,
          memberIds: room.members.map((/** @type {any} */ { userId }) => userId),
        },
      ]),
    ),
};

/** Acknowledgements have numbers: the operation waits under its number. @param {Device} device @param {string} op @param {string} event @param {object} body */
function call(device, op, event, body) {
  const number = device.nextNumber();
  device.numbers.set(String(number), op);
  device.emit(`${prefix}${number}${JSON.stringify([event, body])}`);
}

/** @param {Device} device @param {string} number @param {string} text */
function answered(device, number, text) {
  const op = device.numbers.get(number) ?? '';
  device.numbers.delete(number);
  const isGood = text.includes('"success":true');
  if (op[0] === 'j' && isGood) device.onLive(Number(op.slice(1)), { seq: undefined, epoch: undefined });
  else device.onAnswer(op, isGood, text);
}

export const dialects = { fairway, seeds };
