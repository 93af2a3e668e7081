import { useEffect, useState } from 'react';

const minuteMs = 60_000;

/** The present day, as `Date.toDateString`: it changes at midnight, and when the page comes back after it. */
export function useToday(): string {
  const [today, setToday] = useState(() => new Date().toDateString());
  useEffect(() => {
    const look = () => setToday(new Date().toDateString());
    const looking = setInterval(look, minuteMs);
    document.addEventListener('visibilitychange', look);
    return () => {
      clearInterval(looking);
      document.removeEventListener('visibilitychange', look);
    };
  }, []);
  return today;
}
