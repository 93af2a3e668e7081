import { isTrustedPicture } from '../app/settings.js';
import styles from './avatar.module.css';

interface AvatarProps {
  /** Chooses the colour. */
  readonly id: string;
  readonly name: string;
  readonly url: string | null | undefined;
  readonly isOnline?: boolean;
  readonly size?: 'small' | 'usual';
}

const hues = 8;

/** A face, or the first letter of the name. It is decoration: the name stands beside it. */
export function Avatar({ id, name, url, isOnline = false, size = 'usual' }: AvatarProps) {
  const hue = [...id].reduce((sum, letter) => sum + (letter.codePointAt(0) ?? 0), 0) % hues;
  return (
    <span className={`${styles.avatar} ${styles[size]} ${styles[`hue${hue}`]}`} aria-hidden="true">
      {url != null && isTrustedPicture(url) ? (
        <img src={url} alt="" className={styles.picture} loading="lazy" decoding="async" />
      ) : (
        <span className={styles.letter}>{firstLetter(name)}</span>
      )}
      {isOnline && <span className={styles.online} />}
    </span>
  );
}

const segmenter = new Intl.Segmenter();

/** A whole character as people see it: an emoji, a syllable. */
function firstLetter(name: string): string {
  const [first] = segmenter.segment(name.replace(/^[#\s]+/, '') || ' ');
  return (first?.segment ?? '').toLocaleUpperCase();
}
