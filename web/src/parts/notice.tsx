import type { ReactNode } from 'react';
import styles from './notice.module.css';

/** A place with nothing in it: one sentence why, and one thing to do. */
export function Notice({ text, children }: { readonly text: string; readonly children?: ReactNode }) {
  return (
    <div className={styles.notice}>
      <p>{text}</p>
      {children}
    </div>
  );
}
