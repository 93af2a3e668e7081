import type { Rooms } from '@fairway/client';
import { useFairway, usePresence, useRooms, useViewer } from '@fairway/client/react';
import { useEffect, useMemo, useRef, useState } from 'react';
import { openRoute } from '../app/route.js';
import { LineStatus } from '../line/line-status.js';
import { Button, IconButton } from '../parts/button.js';
import { Icon } from '../parts/icon.js';
import { Notice } from '../parts/notice.js';
import { NewRoom } from '../people/new-room.js';
import { chooseDemoUser, isHosted } from '../session/session.js';
import { useToday } from '../words/use-today.js';
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
  const today = useToday();
  useAllPages({ isWanted: filter.trim() !== '' && status === 'ready', hasMore, count: rooms.length, actions });
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
              openRoute(null);
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
            today={today}
            isOnline={presence.get(room.peer?.id ?? '')?.isOnline === true}
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

/** A page that could not be loaded is asked for again after this time. */
const retryMs = 3_000;

interface AllPages {
  readonly isWanted: boolean;
  readonly hasMore: boolean;
  readonly count: number;
  readonly actions: Rooms;
}

/** Loads the pages one after the other: a room that matches the filter may be on a later one. */
function useAllPages({ isWanted, hasMore, count, actions }: AllPages): void {
  const [tries, setTries] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each page, and each try, asks for the next one
  useEffect(() => {
    if (!isWanted || !hasMore) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isOver = false;
    void actions.loadMore().then((isLoaded) => {
      if (!isLoaded && !isOver) timer = setTimeout(() => setTries((number) => number + 1), retryMs);
    });
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [isWanted, hasMore, count, actions, tries]);
}
