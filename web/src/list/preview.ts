import type { ListedRoom } from '@fairway/client';
import type { Words } from '../words/words.js';

/** The newest message of a room in one line. */
export function previewOf({ lastMessage, type }: ListedRoom, words: Words): string {
  if (lastMessage === null) return words.list.noMessage;
  const { senderName, content, system } = lastMessage;
  if (system !== null) {
    return words.room.system({
      code: system.code,
      sender: senderName,
      users: system.users.map(({ name }) => name),
      content,
    });
  }
  const text = lastMessage.type === 'IMAGE' ? words.list.picture : (content ?? '').replace(/\s+/g, ' ');
  return type === 'DIRECT' ? text : words.message.from(senderName, text);
}

/** What is typed into the filter matches a part of the title, in any case and form. */
export const matches = (title: string, text: string): boolean => normalize(title).includes(normalize(text));

const normalize = (text: string): string => text.normalize('NFKC').toLocaleLowerCase().trim();
