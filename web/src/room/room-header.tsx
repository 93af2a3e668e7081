import type { RoomSnapshot } from '@fairway/client';
import { usePresence } from '@fairway/client/react';
import { useMemo } from 'react';
import { openRoute } from '../app/route.js';
import { LineStatus } from '../line/line-status.js';
import { Avatar } from '../parts/avatar.js';
import { IconButton } from '../parts/button.js';
import { Icon } from '../parts/icon.js';
import { Spoken } from '../parts/spoken.js';
import { useWords } from '../words/use-words.js';
import styles from './room-header.module.css';

interface RoomHeaderProps {
  readonly snapshot: RoomSnapshot;
  readonly onDetails: () => void;
}

/** The title of the open room, and below it who types, or else who is there. */
export function RoomHeader({ snapshot: { id, room, typing }, onDetails }: RoomHeaderProps) {
  const words = useWords();
  const isDirect = room?.type === 'DIRECT';
  const peerId = room?.peer?.id;
  const presence = usePresence(useMemo(() => (peerId === undefined ? [] : [peerId]), [peerId]));
  const isOnline = peerId !== undefined && presence.get(peerId)?.isOnline === true;
  const title = room?.title ?? '';
  const there = isDirect ? (isOnline ? words.room.online : '') : words.room.members(room?.memberCount ?? 0);
  const usual = typing.length > 0 ? words.room.typing(typing.map(({ name }) => name)) : room === null ? '' : there;
  return (
    <header className={styles.header}>
      <IconButton label={words.room.back} className={styles.back ?? ''} onClick={() => openRoute(null)}>
        <Icon name="back" />
      </IconButton>
      <Avatar id={peerId ?? id} name={title} url={room?.imageUrl ?? room?.peer?.avatarUrl} isOnline={isOnline} />
      <div className={styles.text}>
        <h2 className={styles.title} dir="auto">
          {title === '' ? <Spoken>{words.loading}</Spoken> : title}
        </h2>
        <div className={styles.below} data-typing={typing.length > 0}>
          <LineStatus usual={usual} />
        </div>
      </div>
      <IconButton label={words.room.details} disabled={room === null} onClick={onDetails}>
        <Icon name="details" />
      </IconButton>
    </header>
  );
}
