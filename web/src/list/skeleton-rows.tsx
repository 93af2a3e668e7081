import styles from './skeleton-rows.module.css';

/** Rows without content, where the rooms will be. */
export function SkeletonRows({ label, count = 8 }: { readonly label: string; readonly count?: number }) {
  return (
    <div role="status" aria-label={label}>
      {Array.from({ length: count }, (_, index) => index).map((index) => (
        <div key={index} className={styles.row} aria-hidden="true">
          <span className={styles.avatar} />
          <span className={styles.text}>
            <span className={styles.line} style={{ width: `${40 + ((index * 17) % 30)}%` }} />
            <span className={styles.line} style={{ width: `${60 + ((index * 23) % 30)}%` }} />
          </span>
        </div>
      ))}
    </div>
  );
}
