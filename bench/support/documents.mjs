import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const message = 'id seq type content senderName createdAt';
const roomFields = `id type name seq updatedAt unreadCount lastMessage { ${message} }`;

/** The documents that are sent to Fairway. */
export const documents = {
  sendMessage: 'mutation ($input: SendMessageInput!) { sendMessage(input: $input) { message { id seq createdAt } } }',
  roomEvents: `subscription ($roomId: ID!) { roomEvents(roomId: $roomId) { __typename seq ... on MessageAdded { message { ${message} sender { id name } } } } }`,
  roomList: `query ($first: Int!) { rooms(first: $first) { edges { node { ${roomFields} members { isAdmin lastReadSeq user { id name } } } } } }`,
  roomPage: `query ($id: ID!, $before: String) { room(id: $id) { messages(last: 50, before: $before) { edges { node { ${message} sender { id name } readCount } } } } }`,
  around: `query ($id: ID!, $messageId: ID!) { room(id: $id) { messagesAround(messageId: $messageId) { edges { node { ${message} sender { id name } readCount } } } } }`,
  resume: `subscription ($id: ID!, $afterSeq: Int!) { roomEvents(roomId: $id, afterSeq: $afterSeq) { __typename seq ... on MessageAdded { message { ${message} sender { id name } } } } }`,
  inbox: `subscription { inboxEvents { kind roomId room { ${roomFields} } } }`,
  room: `query ($id: ID!) { room(id: $id) {
    id name type bookingId seq title unreadCount cancelledAt createdAt updatedAt
    members { id user { id name } isAdmin joinedAt lastReadMessageId lastReadAt } lastMessage { ${message} }
  } }`,
};

/**
 * The documents of the day: the data that the clients of the replaced system get, no more and no less, except that read marks
 * come at most once a second. `documentIdOf` has their ids, which a client sends in place of the texts.
 */
export const dayDocuments = {
  roomEvents: `subscription ($roomId: ID!, $afterSeq: Int, $epoch: ID, $reads: ReadDelivery) {
  roomEvents(roomId: $roomId, afterSeq: $afterSeq, epoch: $epoch, reads: $reads) {
    __typename seq ... on RoomReady { epoch } ... on MessageAdded { message { id type content senderName createdAt sender { id } } }
    ... on MessageUpdated { message { id content editedAt } } ... on MemberRead { member { user { id } lastReadSeq } }
    ... on MembersRead { members { user { id } lastReadSeq } }
  } }`,
  typing: 'subscription ($roomId: ID!) { typing(roomId: $roomId) { users { id name } } }',
  inbox: `subscription { inboxEvents { kind roomId room { id type title seq updatedAt unreadCount lastMessage { id type content senderName createdAt } } } }`,
  send: 'mutation ($input: SendMessageInput!) { sendMessage(input: $input) { message { id seq createdAt } } }',
  edit: 'mutation ($input: EditMessageInput!) { editMessage(input: $input) { message { id seq } } }',
  markRead: 'mutation ($input: MarkReadInput!) { markRead(input: $input) { room { id } } }',
  setTyping: 'mutation ($input: SetTypingInput!) { setTyping(input: $input) { expiresInMs } }',
  list: `query { rooms(first: 20) { edges { node { id type name createdAt updatedAt unreadCount
    memberPage(first: 5) { edges { node { id joinedAt user { id name } } } } lastMessage { id type content createdAt senderName sender { id } } } } } }`,
  open: `query ($id: ID!) { room(id: $id) { id type name seq epoch createdAt updatedAt
    memberPage(first: 50) { edges { node { id isAdmin joinedAt lastReadSeq user { id name } } } }
    messages(last: 50) { edges { node { id type content createdAt senderName sender { id } } } pageInfo { hasPreviousPage startCursor } } } }`,
  pageBack: `query ($id: ID!, $before: String!) { room(id: $id) { messages(last: 50, before: $before) {
    edges { node { id type content createdAt senderName sender { id } } } pageInfo { hasPreviousPage startCursor } } } }`,
};

/** @param {string} text */
const hashOf = (text) => createHash('sha256').update(text).digest('hex');

/** @param {keyof typeof dayDocuments} name */
export const documentIdOf = (name) => `sha256:${hashOf(dayDocuments[name])}`;

/** @type {string | undefined} */
let path;

/** The path of a manifest of all documents, as graphql-codegen writes it. */
export function manifestPath() {
  if (path === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'fairway-bench-documents-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    path = join(folder, 'manifest.json');
    const entries = [...Object.values(documents), ...Object.values(dayDocuments)].map((text) => [hashOf(text), text]);
    writeFileSync(path, JSON.stringify(Object.fromEntries(entries)));
  }
  return path;
}
