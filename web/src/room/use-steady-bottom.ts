import { type RefObject, useLayoutEffect, useRef } from 'react';

/**
 * Keeps the lower edge of what is read in its place while the keyboard opens or closes, or the field below grows.
 * @param isNearEnd - whether an element of this height would stand at its end, to these pixels
 */
export function useSteadyBottom(
  scroller: RefObject<HTMLElement | null>,
  isNearEnd: (height: number, px?: number) => boolean,
): void {
  const latest = useRef(isNearEnd);
  latest.current = isNearEnd;
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    let height = element.clientHeight;
    const observer = new ResizeObserver(() => {
      // It may have been scrolled to its end since it has its new height.
      const wasAtEnd = latest.current(height) || latest.current(element.clientHeight, 1);
      const change = height - element.clientHeight;
      height = element.clientHeight;
      if (wasAtEnd) element.scrollTop = element.scrollHeight;
      else if (change !== 0) element.scrollTop += change;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [scroller]);
}
