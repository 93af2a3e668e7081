import type { RoomSnapshot } from '@fairway/client';
import { type Range, useVirtualizer } from '@tanstack/react-virtual';
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { useIsAway } from '../app/use-is-away.js';
import { Icon } from '../parts/icon.js';
import { useWords } from '../words/use-words.js';
import styles from './history.module.css';
import { MessageRow } from './message-row.js';
import { estimateHeight, type Row } from './rows.js';
import { useHistoryPages } from './use-history-pages.js';
import { useOpening } from './use-opening.js';
import { useSteadyBottom } from './use-steady-bottom.js';

interface HistoryProps {
  readonly rows: readonly Row[];
  readonly snapshot: RoomSnapshot;
  /** Whether more comes than is drawn. */
  readonly isFlooded: boolean;
  readonly targetId: string | null;
  /** The message that is being edited. */
  readonly editedId: string | undefined;
  /** Grows when the reader wants to be at the end. */
  readonly toEnd: number;
  readonly onMenu: (messageId: string, anchor: HTMLElement) => void;
  readonly onLoadOlder: () => Promise<boolean>;
  readonly onLoadNewer: () => Promise<boolean>;
  readonly onGoTo: (messageId: string) => Promise<boolean>;
  readonly onLatest: () => void;
  readonly onSee: (messageId: string) => void;
}

/** This close to the end counts as being there: what arrives is followed. */
const endPx = 48;
const usualWidth = 720;
/** So many rows are drawn beyond those in view. Above, they are measured before a reader who scrolls gets there. */
const rowsAbove = 20;
const rowsBelow = 4;
const extractRange = ({ startIndex, endIndex, count }: Range): number[] =>
  indexes(Math.max(startIndex - rowsAbove, 0), Math.min(endIndex + rowsBelow, count - 1));
const indexes = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, index) => first + index);

/** In a flood that is followed: nothing above the view, but at once the last rows, which fill a view of this size. */
const extractEnd = (rows: readonly Row[], { width, height }: { width: number; height: number }) => {
  let first = rows.length;
  for (let left = height + endPx; left > 0 && first > 0; left -= estimateHeight(rows[first] as Row, width)) first -= 1;
  return ({ startIndex, endIndex, count }: Range): number[] => [
    ...indexes(startIndex, Math.min(endIndex, first - 1)),
    ...indexes(first, count - 1),
  ];
};

/**
 * The messages of a room. Only those in view are in the document. Whatever changes above or below, what is in view stays where
 * it is; at the end, new messages are followed.
 */
export function History({
  rows,
  snapshot,
  isFlooded,
  targetId,
  editedId,
  toEnd,
  onMenu,
  onLatest,
  onGoTo,
  onSee,
  ...loads
}: HistoryProps) {
  const words = useWords();
  const { firstUnreadId, hasOlder, hasNewer, unreadCount } = snapshot;
  const scroller = useRef<HTMLDivElement>(null);
  const isAway = useIsAway();
  const [isAtEnd, setAtEnd] = useState(true);
  /** Whether the reader stands at the end, also while it moves on below them; and where they were. */
  const stands = useRef(true);
  const stoodAt = useRef(0);
  const view = useRef({ width: usualWidth, height: 0 });
  const skims = isFlooded && isAtEnd && !hasNewer && !isAway;
  const rangeExtractor = useMemo(() => (skims ? extractEnd(rows, view.current) : extractRange), [skims, rows]);
  const getItemKey = useCallback((index: number) => (rows[index] as Row).message.id, [rows]);
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => estimateHeight(rows[index] as Row, view.current.width),
    getItemKey,
    rangeExtractor,
    anchorTo: 'end',
    scrollEndThreshold: endPx,
    paddingStart: 48,
    paddingEnd: 12,
  });
  const items = virtualizer.getVirtualItems();

  const opening = useOpening({ virtualizer, rows, targetId, firstUnreadId, onGoTo });
  useHistoryPages({ virtualizer, count: rows.length, snapshot, ...loads });
  // From what is known, without making the browser lay the page out: this is asked after each drawing.
  const isNearEnd = (height: number, px = endPx): boolean =>
    virtualizer.getTotalSize() - (virtualizer.scrollOffset ?? 0) - height <= px;
  useSteadyBottom(scroller, isNearEnd);

  // The newest messages may have to be loaded first.
  const wantsEnd = useRef(0);
  useLayoutEffect(() => {
    if (hasNewer || wantsEnd.current === toEnd) return;
    wantsEnd.current = toEnd;
    virtualizer.scrollToEnd();
  }, [toEnd, hasNewer, virtualizer]);

  // What comes while nobody looks waits below: it is not read yet. What others write may come above what is still on its way.
  const isFollowing = !hasNewer && !isAway && !opening.isOpening;
  // biome-ignore lint/correctness/useExhaustiveDependencies: only other rows move the end
  useLayoutEffect(() => {
    if (isFollowing && stands.current) virtualizer.scrollToEnd();
  }, [rows]);

  // What is in view has been seen.
  useEffect(() => {
    if (virtualizer.scrollRect === null) return;
    const { height } = virtualizer.scrollRect;
    view.current = virtualizer.scrollRect;
    const offset = virtualizer.scrollOffset ?? 0;
    if (!hasNewer && isNearEnd(height)) stands.current = true;
    else if (!isFollowing || offset < stoodAt.current - 1) stands.current = false;
    stoodAt.current = offset;
    setAtEnd(stands.current);
    if (opening.isOpening) return;
    const bottom = offset + height;
    const last = items.findLast(
      ({ index, start, size }) => rows[index]?.message.seq != null && start + Math.min(size, 24) <= bottom,
    );
    const row = last && rows[last.index];
    if (row !== undefined) onSee(row.message.id);
  });

  return (
    <div className={styles.frame}>
      {/* Silent: rows that come and go while it scrolls would be read again. The announcer reads new messages. */}
      <div
        ref={scroller}
        className={styles.scroller}
        role="log"
        aria-live="off"
        aria-label={words.room.history}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling area must be reachable by the keyboard
        tabIndex={0}
        onWheel={opening.end}
        onTouchMove={opening.end}
        onPointerDown={opening.end}
        onKeyDown={opening.end}
      >
        <div className={styles.rows} style={{ height: virtualizer.getTotalSize() }}>
          <p className={styles.top}>
            {hasOlder || snapshot.status === 'loading' ? words.loading : words.room.beginning}
          </p>
          {items.map((item) => {
            const row = rows[item.index] as Row;
            return (
              <div
                key={item.key}
                ref={virtualizer.measureElement}
                data-index={item.index}
                data-message={row.message.id}
                className={styles.row}
                style={{ transform: `translateY(${item.start}px)` }}
              >
                <MessageRow
                  row={row}
                  isTarget={row.message.id === targetId || row.message.id === editedId}
                  onMenu={onMenu}
                />
              </div>
            );
          })}
        </div>
      </div>
      {!isAtEnd && (
        <button type="button" className={styles.latest} onClick={onLatest}>
          <Icon name="down" size={20} />
          {unreadCount > 0 ? words.room.latestWith(unreadCount) : words.room.latest}
        </button>
      )}
    </div>
  );
}
