import { useWords } from '../words/use-words.js';
import styles from './ring.module.css';

const radius = 18;
const around = 2 * Math.PI * radius;

interface RingProps {
  readonly progress: number;
  readonly name: string;
  /** Over a picture, it has a ground of its own. */
  readonly isOver?: boolean;
}

/** How much of a file has been sent. */
export function Ring({ progress, name, isOver = true }: RingProps) {
  const words = useWords();
  const percent = Math.round(progress * 100);
  return (
    <span
      className={`${styles.ring} ${isOver ? styles.over : ''}`}
      role="progressbar"
      aria-label={name}
      aria-valuenow={percent}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuetext={words.files.progress(percent)}
    >
      <svg width="40" height="40" viewBox="0 0 44 44" fill="none" aria-hidden="true">
        <circle cx="22" cy="22" r={radius} stroke="currentColor" strokeOpacity="0.35" strokeWidth="4" />
        <circle
          cx="22"
          cy="22"
          r={radius}
          stroke="currentColor"
          strokeWidth="4"
          strokeLinecap="round"
          strokeDasharray={around}
          strokeDashoffset={around * (1 - progress)}
          transform="rotate(-90 22 22)"
        />
      </svg>
    </span>
  );
}
