import type { TimelineMessage } from '@fairway/client';
import type { Words } from '../words/words.js';
import { sortAttachments } from './layout.js';

/** A message in words: what is written, or else what is sent. */
export function describeMessage(
  message: Pick<TimelineMessage, 'type' | 'content' | 'attachments'>,
  words: Words,
): string {
  const { content, attachments } = message;
  if (attachments.length === 0) return message.type === 'IMAGE' ? words.message.picture : (content ?? '');
  const { pictures, films, sounds, files } = sortAttachments(message);
  const parts = [
    ...(pictures.length > 0 ? [words.files.pictures(pictures.length)] : []),
    ...films.map(() => words.files.video),
    ...[...sounds, ...files].map(({ name }) => name),
  ];
  return [...parts, ...(content ? [content] : [])].join(', ');
}
