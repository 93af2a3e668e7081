import { useConnection, useFairway } from '@fairway/client/react';
import { useEffect, useState } from 'react';
import { useWords } from '../words/use-words.js';
import styles from './line-status.module.css';

/** After this time without a connection it is said: a change of network is over sooner. */
const patienceMs = 800;
/** In seconds: the client waits no longer between two attempts. */
const longestPause = 30;

/**
 * How the line to the server is, in a line that is there anyway: it covers nothing and moves nothing. Null while all is well.
 */
export function useLineStatus(): { readonly text: string; readonly action: string; readonly act: () => void } | null {
  const { status, retryAt, isStorageDurable } = useConnection();
  const fairway = useFairway();
  const words = useWords();
  const isAway = status === 'connecting' || status === 'reconnecting' || status === 'disconnected';
  const [isLong, setLong] = useState(false);
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!isAway) {
      setLong(false);
      return;
    }
    const patience = setTimeout(() => setLong(true), patienceMs);
    const ticking = setInterval(() => setNow(Date.now()), 500);
    return () => {
      clearTimeout(patience);
      clearInterval(ticking);
    };
  }, [isAway]);
  const { now: again, outdated, reload, connecting, reconnecting, notKept } = words.line;
  if (status === 'outdated') return { text: outdated, action: reload, act: () => location.reload() };
  if (isAway && isLong) {
    // The clock may have been set back meanwhile.
    const seconds = retryAt === null ? 0 : Math.min(Math.max(0, Math.ceil((retryAt - now) / 1_000)), longestPause);
    const text = status === 'reconnecting' ? reconnecting(seconds) : connecting;
    return { text, action: again, act: () => fairway.reconnectNow() };
  }
  if (!isAway && !isStorageDurable) return { text: notKept, action: '', act: () => undefined };
  return null;
}

/** The state of the line, or else what would stand there. */
export function LineStatus({ usual }: { readonly usual: string }) {
  const status = useLineStatus();
  if (status === null) return <span className={styles.usual}>{usual}</span>;
  return (
    <span className={styles.status}>
      <span className={styles.text}>{status.text}</span>
      {status.action !== '' && (
        <button type="button" className={styles.now} onClick={status.act}>
          {status.action}
        </button>
      )}
    </span>
  );
}
