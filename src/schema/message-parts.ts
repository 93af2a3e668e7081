import { type MessagePart, messageParts } from '../db/messages.js';
import type { Selection } from './selection.js';

/** What is read along with messages of which this is selected: readers are counted before they are loaded. */
export const findMessageParts = (message: Selection): readonly MessagePart[] => [
  ...new Set(message.choose([...messageParts, 'readBy']).map((name) => (name === 'readBy' ? 'readCount' : name))),
];
