import type { ReactNode } from 'react';
import styles from './spoken.module.css';

/** Words for those who do not see what stands there. */
export const Spoken = ({ children }: { readonly children: ReactNode }) => (
  <span className={styles.spoken}>{children}</span>
);
