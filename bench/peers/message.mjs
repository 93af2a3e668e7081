import { randomUUID } from 'node:crypto';

let seq = 0;
/** The user of peers without tokens. */
export const viewerId = 1_000;

/** The message that each peer broadcasts, with the fields that a subscriber of Fairway selects. @param {string} content */
export function createMessage(content) {
  seq += 1;
  return {
    id: randomUUID(),
    seq,
    type: 'TEXT',
    content,
    senderName: '회원 1000',
    createdAt: new Date().toISOString(),
    sender: { id: '1000', name: '회원 1000' },
  };
}

/** The schema of the GraphQL peers that broadcast. */
export const typeDefs = `
  type User { id: ID! name: String! }
  type Message { id: ID! seq: Int! type: String! content: String! senderName: String! createdAt: String! sender: User! }
  input SendMessageInput { roomId: ID! content: String! }
  type SendMessagePayload { message: Message! }
  type Query { ok: Boolean! }
  type Mutation { sendMessage(input: SendMessageInput!): SendMessagePayload! }
  type Subscription { messageAdded(roomId: ID!): Message! }
`;

/** Notifies the bench that the server listens, and on which port. @param {number} port */
export const tellReady = (port) => process.send?.({ type: 'ready', port });
process.on('disconnect', () => process.exit());
process.on('SIGTERM', () => process.exit());
