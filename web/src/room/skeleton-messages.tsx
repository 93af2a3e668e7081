import styles from './skeleton-messages.module.css';

const widths = [42, 58, 30, 64, 36, 50, 26, 46];

/** Bubbles without text, where the messages will be. */
export function SkeletonMessages({ label }: { readonly label: string }) {
  return (
    <div className={styles.messages} role="status" aria-label={label}>
      {widths.map((width, index) => (
        <span
          key={width}
          className={`${styles.bubble} ${index % 3 === 2 ? styles.own : ''}`}
          style={{ width: `${width}%` }}
          aria-hidden="true"
        />
      ))}
    </div>
  );
}
