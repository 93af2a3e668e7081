import type { RoomSnapshot } from '@fairway/client';
import type { ReactVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useState } from 'react';

interface HistoryPages {
  readonly virtualizer: ReactVirtualizer<HTMLDivElement, Element>;
  readonly count: number;
  readonly snapshot: Pick<RoomSnapshot, 'status' | 'hasOlder' | 'hasNewer'>;
  readonly onLoadOlder: () => Promise<boolean>;
  readonly onLoadNewer: () => Promise<boolean>;
}

/** So many rows before the end of what is there, the next page is asked for. */
const ahead = 15;
/** A page that could not be loaded is asked for again after this time. */
const retryMs = 3_000;

/** Loads the pages that the reader is about to reach. */
export function useHistoryPages({ virtualizer, count, snapshot, onLoadOlder, onLoadNewer }: HistoryPages): void {
  const { status, hasOlder, hasNewer } = snapshot;
  const items = virtualizer.getVirtualItems();
  const first = items[0]?.index;
  const last = items.at(-1)?.index;
  const [tries, setTries] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `tries` asks again
  useEffect(() => {
    if (first === undefined || last === undefined || status !== 'ready') return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isOver = false;
    const load = async (page: () => Promise<boolean>) => {
      if ((await page()) || isOver) return;
      timer = setTimeout(() => setTries((number) => number + 1), retryMs);
    };
    if (hasOlder && first <= ahead) void load(onLoadOlder);
    if (hasNewer && last >= count - 1 - ahead) void load(onLoadNewer);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [count, first, last, status, hasOlder, hasNewer, onLoadOlder, onLoadNewer, tries]);
}
