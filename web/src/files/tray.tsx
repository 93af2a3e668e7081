import { IconButton } from '../parts/button.js';
import { Icon } from '../parts/icon.js';
import { useWords } from '../words/use-words.js';
import type { Chosen } from './chosen.js';
import { formatBytes } from './sizes.js';
import styles from './tray.module.css';

interface TrayProps {
  readonly chosen: readonly Chosen[];
  readonly onRemove: (key: number) => void;
}

/** What was chosen, above the field that has the caption. */
export function Tray({ chosen, onRemove }: TrayProps) {
  const words = useWords();
  return (
    <ul className={styles.tray} aria-label={words.files.chosen}>
      {chosen.map((one) => (
        <li key={one.key} className={styles.one}>
          <span className={styles.thumbnail}>
            {one.url === null ? (
              <Icon name={one.file.type.startsWith('audio/') ? 'sound' : 'file'} />
            ) : (
              <img
                src={one.url}
                alt=""
                onLoad={({ currentTarget }) => {
                  // The space of the message is then right before the server has seen the picture.
                  one.width = currentTarget.naturalWidth;
                  one.height = currentTarget.naturalHeight;
                }}
              />
            )}
          </span>
          <span className={styles.about}>
            <span className={styles.name} dir="auto" title={one.file.name}>
              {one.file.name}
            </span>
            <span className={styles.size}>{formatBytes(one.file.size, words)}</span>
          </span>
          <IconButton label={words.files.remove(one.file.name)} onClick={() => onRemove(one.key)}>
            <Icon name="close" size={20} />
          </IconButton>
        </li>
      ))}
    </ul>
  );
}
