import type { ReactVirtualizer } from '@tanstack/react-virtual';
import { useCallback, useLayoutEffect, useRef, useState } from 'react';
import type { Row } from './rows.js';

interface OpeningOptions {
  readonly virtualizer: ReactVirtualizer<HTMLDivElement, Element>;
  readonly rows: readonly Row[];
  /** A linked message. */
  readonly targetId: string | null;
  /** Undefined until the room was read. */
  readonly firstUnreadId: string | null | undefined;
  /** Loads the part of the history around a message. */
  readonly onGoTo: (messageId: string) => Promise<boolean>;
}

/**
 * Opens a room at a linked message, at the line "unread from here", or at its end, as soon as it is known where that is. Until
 * then nothing that is shown counts as seen, and nothing is followed. Whoever scrolls ends the opening.
 */
export function useOpening({ virtualizer, rows, targetId, firstUnreadId, onGoTo }: OpeningOptions) {
  const [opened, setOpened] = useState<string | null | undefined>(undefined);
  const asked = useRef<string | null>(null);
  const isOpening = targetId === null ? opened === undefined : opened !== targetId;
  const end = useCallback(() => setOpened(targetId), [targetId]);
  useLayoutEffect(() => {
    if (!isOpening || rows.length === 0) return;
    const wanted = targetId ?? firstUnreadId;
    const index = wanted == null ? -1 : rows.findIndex(({ message }) => message.id === wanted);
    if (index !== -1) {
      virtualizer.scrollToIndex(index, { align: targetId === null ? 'start' : 'center' });
      end();
      return;
    }
    if (targetId === null) virtualizer.scrollToEnd();
    if (wanted === null) end();
    if (wanted == null || asked.current === wanted) return;
    asked.current = wanted;
    void onGoTo(wanted).then((isThere) => {
      if (!isThere) end();
    });
  }, [isOpening, rows, targetId, firstUnreadId, virtualizer, end, onGoTo]);
  return { isOpening, end };
}
