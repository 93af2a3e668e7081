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
  const written = (content ?? '').replace(/\s+/g, ' ');
  const text = textOf(lastMessage.type, written, words);
  return type === 'DIRECT' ? text : words.message.from(senderName, text);
}

/** Files without a caption are named by their kind, and so is a picture that is an address. */
function textOf(type: string, written: string, words: Words): string {
  if (type === 'IMAGE') return /^https:\/\/\S*$/.test(written) ? words.list.picture : written || words.list.picture;
  return type === 'FILE' ? written || words.files.file : written;
}

/** What is typed into the filter matches a part of the title, in any case and form. */
export const matches = (title: string, text: string): boolean => normalize(title).includes(normalize(text));

const normalize = (text: string): string => text.normalize('NFKC').toLocaleLowerCase().trim();
