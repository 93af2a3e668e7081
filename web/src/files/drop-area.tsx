import { type ReactNode, useRef, useState } from 'react';
import { Icon } from '../parts/icon.js';
import { useWords } from '../words/use-words.js';
import { filesOf } from './chosen.js';
import styles from './drop-area.module.css';

interface DropAreaProps {
  readonly className: string | undefined;
  readonly label: string | undefined;
  /** Null where nothing may be sent. */
  readonly onFiles: ((files: readonly File[]) => void) | null;
  readonly children: ReactNode;
}

/** What stands over it while files are dragged. */
export function DropTarget() {
  const words = useWords();
  return (
    <div className={styles.target}>
      <Icon name="attach" size={32} />
      {words.files.drop}
    </div>
  );
}

/** A part of the page onto which files may be dropped, which then says so. */
export function DropArea({ className, label, onFiles, children }: DropAreaProps) {
  const [isOver, setOver] = useState(false);
  /** A drag enters an element before it leaves the one around it. */
  const depth = useRef(0);
  const leave = () => {
    depth.current = 0;
    setOver(false);
  };
  const isWanted = ({ dataTransfer }: { dataTransfer: DataTransfer }) =>
    onFiles !== null && dataTransfer.types.includes('Files');
  return (
    <section
      className={className}
      aria-label={label}
      onDragEnter={(event) => {
        if (!isWanted(event)) return;
        event.preventDefault();
        depth.current += 1;
        setOver(true);
      }}
      onDragOver={(event) => {
        if (isWanted(event)) event.preventDefault();
      }}
      onDragLeave={(event) => {
        if (!isWanted(event)) return;
        depth.current -= 1;
        if (depth.current <= 0) leave();
      }}
      onDrop={(event) => {
        if (!isWanted(event)) return;
        event.preventDefault();
        leave();
        onFiles?.(filesOf(event.dataTransfer));
      }}
    >
      {children}
      {isOver && <DropTarget />}
    </section>
  );
}
