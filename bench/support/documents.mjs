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
  room: `query ($id: ID!) { room(id: $id) {
    id name type bookingId seq title unreadCount cancelledAt createdAt updatedAt
    members { id user { id name } isAdmin joinedAt lastReadMessageId lastReadAt } lastMessage { ${message} }
  } }`,
};

/** @type {string | undefined} */
let path;

/** The path of a manifest of all documents, as graphql-codegen writes it. */
export function manifestPath() {
  if (path === undefined) {
    const folder = mkdtempSync(join(tmpdir(), 'fairway-bench-documents-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    path = join(folder, 'manifest.json');
    const entries = Object.values(documents).map((text) => [createHash('sha256').update(text).digest('hex'), text]);
    writeFileSync(path, JSON.stringify(Object.fromEntries(entries)));
  }
  return path;
}
