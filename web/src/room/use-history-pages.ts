import type { ReactVirtualizer } from '@tanstack/react-virtual';
import { useEffect } from 'react';

interface HistoryPages {
  readonly virtualizer: ReactVirtualizer<HTMLDivElement, Element>;
  readonly count: number;
  readonly hasOlder: boolean;
  readonly hasNewer: boolean;
  readonly onLoadOlder: () => void;
  readonly onLoadNewer: () => void;
}

/** So many rows before the end of what is there, the next page is asked for. */
const ahead = 15;

/** Loads the pages that the reader is about to reach. */
export function useHistoryPages({
  virtualizer,
  count,
  hasOlder,
  hasNewer,
  onLoadOlder,
  onLoadNewer,
}: HistoryPages): void {
  const items = virtualizer.getVirtualItems();
  const first = items[0]?.index ?? 0;
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (count === 0) return;
    if (hasOlder && first <= ahead) onLoadOlder();
    if (hasNewer && last >= count - 1 - ahead) onLoadNewer();
  }, [count, first, last, hasOlder, hasNewer, onLoadOlder, onLoadNewer]);
}
