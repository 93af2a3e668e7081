import type { ListedRoom } from '@fairway/client';
import { memo } from 'react';
import { addressOf, openRoute } from '../app/route.js';
import { Avatar } from '../parts/avatar.js';
import { Spoken } from '../parts/spoken.js';
import { formatFull, formatRecent } from '../words/dates.js';
import { useWords } from '../words/use-words.js';
import { previewOf } from './preview.js';
import styles from './room-row.module.css';

interface RoomRowProps {
  readonly room: ListedRoom;
  readonly isOpen: boolean;
  /** The present day: its change draws the times again. */
  readonly today: string;
  /** Whether the other one of a DIRECT room is there. */
  readonly isOnline: boolean;
}

/** A room in the list: its title and time in one line, its newest message and the unread ones in the next. */
export const RoomRow = memo(function RoomRow({ room, isOpen, isOnline, today }: RoomRowProps) {
  const words = useWords();
  const { id, title, imageUrl, unreadCount, updatedAt, peer } = room;
  return (
    <a
      href={addressOf(id)}
      className={styles.row}
      aria-current={isOpen ? 'page' : undefined}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        openRoute(id);
      }}
    >
      <Avatar id={peer?.id ?? id} name={title} url={imageUrl ?? peer?.avatarUrl} isOnline={isOnline} />
      <span className={styles.text}>
        <span className={styles.line}>
          <span className={styles.title} dir="auto">
            {title}
          </span>
          <time className={styles.time} dateTime={updatedAt} title={formatFull(updatedAt, words)}>
            {formatRecent(updatedAt, words, new Date(today))}
          </time>
        </span>
        <span className={styles.line}>
          <span className={styles.preview} dir="auto">
            {previewOf(room, words)}
          </span>
          {unreadCount > 0 && (
            <span className={styles.badge}>
              <span aria-hidden="true">{unreadCount > 999 ? '999+' : unreadCount}</span>
              <Spoken>{words.list.unread(unreadCount)}</Spoken>
            </span>
          )}
        </span>
      </span>
    </a>
  );
});
