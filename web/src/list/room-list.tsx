import { useFairway, usePresence, useRooms, useViewer } from '@fairway/client/react';
import { useEffect, useMemo, useRef, useState } from 'react';
import { LineStatus } from '../line/line-status.js';
import { Button, IconButton } from '../parts/button.js';
import { Icon } from '../parts/icon.js';
import { Notice } from '../parts/notice.js';
import { NewRoom } from '../people/new-room.js';
import { chooseDemoUser, isHosted } from '../session/session.js';
import { useWords } from '../words/use-words.js';
import { matches } from './preview.js';
import styles from './room-list.module.css';
import { RoomRow } from './room-row.js';
import { SkeletonRows } from './skeleton-rows.js';

/** The viewer's rooms, the newest activity first. */
export function RoomList({ openId }: { readonly openId: string | null }) {
  const words = useWords();
  const viewer = useViewer();
  const fairway = useFairway();
  const { rooms, status, hasMore, isLoadingMore, actions } = useRooms();
  const [filter, setFilter] = useState('');
  const [isCreating, setCreating] = useState(false);
  const shown = filter.trim() === '' ? rooms : rooms.filter(({ title }) => matches(title, filter));
  const { maxWatchedUsers } = fairway.limits();
  const peers = useMemo(
    () => rooms.flatMap(({ peer }) => peer?.id ?? []).slice(0, maxWatchedUsers),
    [rooms, maxWatchedUsers],
  );
  const presence = usePresence(peers);
  // A room that matches may be on a later page.
  useEffect(() => {
    if (filter.trim() !== '' && hasMore && !isLoadingMore) void actions.loadMore();
  }, [filter, hasMore, isLoadingMore, actions]);
  const isLoading = status === 'loading' && rooms.length === 0;
  return (
    <section className={styles.list} aria-label={words.list.title}>
      <header className={styles.head}>
        <div className={styles.heading}>
          <h1 className={styles.title}>{words.list.title}</h1>
          <LineStatus usual={viewer?.name ?? ''} />
        </div>
        {!isHosted && (
          <button
            type="button"
            className={styles.out}
            onClick={() => {
              chooseDemoUser(undefined);
              void fairway.signOut();
            }}
          >
            {words.signIn.out}
          </button>
        )}
        <IconButton label={words.list.create} onClick={() => setCreating(true)}>
          <Icon name="plus" />
        </IconButton>
      </header>
      <div className={styles.filter}>
        <Icon name="search" size={20} />
        <input
          type="search"
          value={filter}
          placeholder={words.list.filter}
          aria-label={words.list.filter}
          onChange={(event) => setFilter(event.target.value)}
        />
      </div>
      <nav className={styles.rows} aria-label={words.list.title}>
        {isLoading && <SkeletonRows label={words.loading} />}
        {shown.map((room) => (
          <RoomRow
            key={room.id}
            room={room}
            isOpen={room.id === openId}
            isOnline={room.peer !== null && presence.get(room.peer.id)?.isOnline === true}
          />
        ))}
        {!isLoading && rooms.length === 0 && (
          <Notice text={words.list.empty}>
            <Button onClick={() => setCreating(true)}>{words.list.create}</Button>
          </Notice>
        )}
        {rooms.length > 0 && shown.length === 0 && !isLoadingMore && (
          <Notice text={words.list.noMatch(filter.trim())}>
            <Button kind="plain" onClick={() => setFilter('')}>
              {words.list.clear}
            </Button>
          </Notice>
        )}
        {hasMore && <NextPage key={rooms.length} isLoading={isLoadingMore} onReach={() => void actions.loadMore()} />}
      </nav>
      {isCreating && <NewRoom onClose={() => setCreating(false)} />}
    </section>
  );
}

/** Loads the next page when it comes into view, or is pressed. */
function NextPage({ isLoading, onReach }: { readonly isLoading: boolean; readonly onReach: () => void }) {
  const ref = useRef<HTMLDivElement>(null);
  const words = useWords();
  const reach = useRef(onReach);
  reach.current = onReach;
  useEffect(() => {
    const observer = new IntersectionObserver(([entry]) => {
      if (entry?.isIntersecting === true) reach.current();
    });
    if (ref.current !== null) observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return (
    <div ref={ref} className={styles.next}>
      {isLoading ? (
        <SkeletonRows label={words.loading} count={1} />
      ) : (
        <Button kind="plain" onClick={onReach}>
          {words.list.more}
        </Button>
      )}
    </div>
  );
}
