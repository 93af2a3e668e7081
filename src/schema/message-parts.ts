import { type MessagePart, messageParts } from '../db/messages.js';
import type { Selection } from './selection.js';

/** The message parts to load in the same query for this selection. `readBy` needs the count: readers are counted first. */
export const findMessageParts = (message: Selection): readonly MessagePart[] => [
  ...new Set(message.choose([...messageParts, 'readBy']).map((name) => (name === 'readBy' ? 'readCount' : name))),
];
