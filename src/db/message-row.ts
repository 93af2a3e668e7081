import { messageShape } from '../domain/message.js';
import { createRowCodec, type JsonOf, type RowOf } from './row.js';

export const messageRow = createRowCodec(messageShape, { known: ['roomId'] });

export type MessageRow = RowOf<typeof messageShape>;
/** With what is read along with the message. */
export type MessageJson<Rest extends readonly unknown[] = []> = JsonOf<typeof messageShape, Rest>;
