import { useEffect } from 'react';

/**
 * Keeps the app as high as what is visible of it. On iOS the keyboard covers the page instead of making it smaller, and the page
 * scrolls away below its own header.
 */
export function useVisibleHeight(): void {
  useEffect(() => {
    const viewport = window.visualViewport;
    if (viewport == null) return;
    const { style } = document.documentElement;
    const update = () => {
      // Enlarged with two fingers, it is not the keyboard.
      if (viewport.scale > 1.01) return;
      style.setProperty('--visible-height', `${viewport.height}px`);
      scrollTo(0, 0);
    };
    update();
    viewport.addEventListener('resize', update);
    viewport.addEventListener('scroll', update);
    return () => {
      viewport.removeEventListener('resize', update);
      viewport.removeEventListener('scroll', update);
      style.removeProperty('--visible-height');
    };
  }, []);
}
