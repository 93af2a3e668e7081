import { EmojiPicker as Picker } from 'frimousse';
import { useEffect, useRef } from 'react';
import { useWords } from '../words/use-words.js';
import styles from './emoji-picker.module.css';

interface EmojiPickerProps {
  readonly onPick: (emoji: string) => void;
  readonly onClose: () => void;
}

/** The build copies the data of the emoji beside the app: no other server learns that somebody looks for one. */
const dataUrl = new URL('emoji', document.baseURI).href;

/** All emoji, above the field. */
export function EmojiPicker({ onPick, onClose }: EmojiPickerProps) {
  const words = useWords();
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    ref.current?.querySelector('input')?.focus();
  }, []);
  return (
    <div
      ref={ref}
      role="dialog"
      aria-label={words.composer.emoji}
      className={styles.picker}
      onKeyDown={(event) => {
        // An Enter without an emoji would send what is in the field below.
        if (event.key === 'Enter') event.preventDefault();
        if (event.key !== 'Escape') return;
        event.stopPropagation();
        onClose();
      }}
    >
      <Picker.Root
        className={styles.root}
        locale={words.language}
        emojibaseUrl={dataUrl}
        columns={8}
        onEmojiSelect={({ emoji }) => onPick(emoji)}
      >
        <Picker.Search
          className={styles.search}
          placeholder={words.composer.findEmoji}
          aria-label={words.composer.findEmoji}
        />
        <Picker.Viewport className={styles.viewport}>
          <Picker.Loading className={styles.empty}>{words.loading}</Picker.Loading>
          <Picker.Empty className={styles.empty}>{words.composer.noEmoji}</Picker.Empty>
          <Picker.List className={styles.list} />
        </Picker.Viewport>
      </Picker.Root>
    </div>
  );
}
