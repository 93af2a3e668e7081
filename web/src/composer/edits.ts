import type { TimelineMessage } from '@fairway/client';
import { useCallback, useState } from 'react';

/** The message that is being edited in each room, while another room is open. */
const edited = new Map<string, TimelineMessage>();
/** What was written in place of messages, until it is sent. */
const texts = new Map<string, string>();
/** The oldest ones are dropped. */
const maxTexts = 50;

/** The message that is being edited in a room, or null. It stays when the reader looks into another room. */
export function useEdited(roomId: string): [TimelineMessage | null, (message: TimelineMessage | null) => void] {
  const [message, setMessage] = useState(() => edited.get(roomId) ?? null);
  const set = useCallback(
    (next: TimelineMessage | null) => {
      if (next === null) edited.delete(roomId);
      else edited.set(roomId, next);
      setMessage(next);
    },
    [roomId],
  );
  return [message, set];
}

/** What was written in place of a message before something else was done, or else the message itself. */
export const textOfEdit = ({ id, content }: TimelineMessage): string => texts.get(id) ?? content ?? '';

export function keepEdit(messageId: string, text: string): void {
  texts.delete(messageId);
  texts.set(messageId, text);
  const [oldest] = texts.keys();
  if (texts.size > maxTexts && oldest !== undefined) texts.delete(oldest);
}

/** The edit was sent or given up. */
export const forgetEdit = (messageId: string): void => void texts.delete(messageId);

/** Another user is signed in. */
export function forgetEdits(): void {
  edited.clear();
  texts.clear();
}
