import type { RoomSnapshot } from '@fairway/client';
import { useVirtualizer } from '@tanstack/react-virtual';
import { type RefObject, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { Icon } from '../parts/icon.js';
import { useWords } from '../words/use-words.js';
import styles from './history.module.css';
import { MessageRow } from './message-row.js';
import { estimateHeight, type Row } from './rows.js';
import { useHistoryPages } from './use-history-pages.js';

interface HistoryProps {
  readonly rows: readonly Row[];
  readonly snapshot: RoomSnapshot;
  readonly targetId: string | null;
  readonly scroller: RefObject<HTMLDivElement | null>;
  readonly onMenu: (messageId: string, anchor: HTMLElement) => void;
  readonly onLoadOlder: () => void;
  readonly onLoadNewer: () => void;
  readonly onLatest: () => void;
  readonly onSee: (messageId: string) => void;
}

/** This close to the end counts as being there: what arrives is followed. */
const endPx = 48;
const overscan = 12;

/**
 * The messages of a room. Only those in view are in the document. Whatever changes above or below, what is in view stays where
 * it is; at the end, new messages are followed.
 */
export function History({ rows, snapshot, targetId, scroller, onMenu, onSee, ...loads }: HistoryProps) {
  const words = useWords();
  const { firstUnreadId, hasOlder, hasNewer, unreadCount } = snapshot;
  const [isAtEnd, setAtEnd] = useState(true);
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => estimateHeight(rows[index] as Row),
    getItemKey: (index) => (rows[index] as Row).message.id,
    overscan,
    anchorTo: 'end',
    followOnAppend: !hasNewer,
    scrollEndThreshold: endPx,
    paddingStart: 48,
    paddingEnd: 12,
  });
  const items = virtualizer.getVirtualItems();

  // Opens at the line "unread from here", at a linked message, or at the end.
  const shownTarget = useRef<string | null | undefined>(undefined);
  const hasRows = rows.length > 0;
  useLayoutEffect(() => {
    if (!hasRows) return;
    const isOpening = shownTarget.current === undefined;
    const wanted = targetId ?? (isOpening ? firstUnreadId : null);
    if (!isOpening && (targetId === null || shownTarget.current === targetId)) return;
    const index = wanted === null ? -1 : rows.findIndex(({ message }) => message.id === wanted);
    if (index === -1 && targetId !== null && !isOpening) return;
    if (index === -1) virtualizer.scrollToEnd();
    else virtualizer.scrollToIndex(index, { align: targetId === null ? 'start' : 'center' });
    shownTarget.current = index === -1 ? null : targetId;
  }, [hasRows, rows, targetId, firstUnreadId, virtualizer]);

  useHistoryPages({ virtualizer, count: rows.length, hasOlder, hasNewer, ...loads });

  // What is in view has been seen.
  const lastSeen = useRef('');
  useEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    const bottom = element.scrollTop + element.clientHeight;
    const last = items.findLast(({ start, size }) => start + Math.min(size, 24) <= bottom);
    const row = last && rows[last.index];
    setAtEnd(virtualizer.isAtEnd(endPx) && !hasNewer);
    if (row === undefined || row.message.seq === null || row.message.id === lastSeen.current) return;
    lastSeen.current = row.message.id;
    onSee(row.message.id);
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
      >
        <div className={styles.rows} style={{ height: virtualizer.getTotalSize() }}>
          <p className={styles.top}>{hasOlder ? words.loading : words.room.beginning}</p>
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
                <MessageRow row={row} isTarget={row.message.id === targetId} onMenu={onMenu} />
              </div>
            );
          })}
        </div>
      </div>
      {!isAtEnd && (
        <button
          type="button"
          className={styles.latest}
          onClick={() => {
            loads.onLatest();
            virtualizer.scrollToEnd();
          }}
        >
          <Icon name="down" size={20} />
          {unreadCount > 0 ? words.room.latestWith(unreadCount) : words.room.latest}
        </button>
      )}
    </div>
  );
}
