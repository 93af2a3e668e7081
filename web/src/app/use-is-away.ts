import { useEffect, useState } from 'react';

/** What came while the page was hidden is drawn within this time after the return. */
const returnMs = 500;

/** Whether the reader looks at something else: another window, or another tab. */
export function useIsAway(): boolean {
  const [isAway, setAway] = useState(() => !document.hasFocus());
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const leave = () => {
      clearTimeout(timer);
      setAway(true);
    };
    const comeBack = () => {
      timer = setTimeout(() => setAway(!document.hasFocus()), returnMs);
    };
    addEventListener('blur', leave);
    addEventListener('focus', comeBack);
    return () => {
      clearTimeout(timer);
      removeEventListener('blur', leave);
      removeEventListener('focus', comeBack);
    };
  }, []);
  return isAway;
}
