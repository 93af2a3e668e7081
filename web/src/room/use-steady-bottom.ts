import { type RefObject, useLayoutEffect } from 'react';

/**
 * Keeps the lower edge of what is read in its place while the keyboard opens or closes, or the field below grows.
 * @param endPx - this close to the end counts as being there
 */
export function useSteadyBottom(scroller: RefObject<HTMLElement | null>, endPx: number): void {
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    let height = element.clientHeight;
    let isAtEnd = true;
    // The browser moves what would be beyond the end before the observer is called.
    const note = () => {
      if (element.clientHeight !== height) return;
      isAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight <= endPx;
    };
    const observer = new ResizeObserver(() => {
      const change = height - element.clientHeight;
      height = element.clientHeight;
      if (isAtEnd) element.scrollTop = element.scrollHeight;
      else if (change !== 0) element.scrollTop += change;
    });
    element.addEventListener('scroll', note);
    observer.observe(element);
    return () => {
      element.removeEventListener('scroll', note);
      observer.disconnect();
    };
  }, [scroller, endPx]);
}
