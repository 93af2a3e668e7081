import type { TimelineMessage } from '@fairway/client';
import { useEffect, useRef, useState } from 'react';
import { describeMessage } from '../files/describe.js';
import { Spoken } from '../parts/spoken.js';
import { useWords } from '../words/use-words.js';

const batchMs = 1_000;
/** More messages at once are announced by their number. */
const maxRead = 3;

/**
 * Reads new messages of others aloud, those of a second together. The history itself is silent: its rows come and go while it
 * scrolls, and would be read again.
 */
export function Announcer({
  messages,
  viewerId,
}: {
  readonly messages: readonly TimelineMessage[];
  readonly viewerId: string;
}) {
  const words = useWords();
  const [text, setText] = useState('');
  const lastSeq = useRef<number | undefined>(undefined);
  const waiting = useRef<TimelineMessage[]>([]);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    const newest = messages.findLast(({ seq }) => seq !== null)?.seq ?? 0;
    const before = lastSeq.current;
    lastSeq.current = Math.max(newest, before ?? 0);
    // What was there when the room was opened is not new.
    if (before === undefined || before === 0) return;
    for (const message of messages.slice(-20)) {
      if (message.type !== 'SYSTEM' && message.seq !== null && message.seq > before && message.sender.id !== viewerId)
        waiting.current.push(message);
    }
    if (waiting.current.length === 0) return;
    timer.current ??= setTimeout(() => {
      const fresh = waiting.current;
      waiting.current = [];
      timer.current = undefined;
      const told =
        fresh.length > maxRead
          ? words.room.latestWith(fresh.length)
          : fresh.map((message) => words.message.from(message.senderName, describeMessage(message, words))).join('. ');
      // The same text twice would be read once.
      setText((before) => (before === told ? `${told}\u00a0` : told));
    }, batchMs);
  }, [messages, viewerId, words]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return (
    <p role="status" aria-live="polite">
      <Spoken>{text}</Spoken>
    </p>
  );
}
