import { FairwayError, type Room, type RoomDetails, type TimelineMessage } from '@fairway/client';
import { useFairway } from '@fairway/client/react';
import { memo, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { acceptOf } from '../files/accept.js';
import { type ChosenFiles, filesOf } from '../files/chosen.js';
import { IconButton } from '../parts/button.js';
import { Icon } from '../parts/icon.js';
import { useWords } from '../words/use-words.js';
import styles from './composer.module.css';
import { forgetEdit, keepEdit, textOfEdit } from './edits.js';
import { EnterToSend } from './enter.js';

interface ComposerProps {
  readonly room: Room;
  readonly details: RoomDetails | null;
  readonly draft: string;
  readonly files: ChosenFiles;
  /** The message that is being edited, in place of a new one. */
  readonly editing: TimelineMessage | null;
  readonly onEditLast: () => void;
  readonly onEnd: () => void;
  readonly onSent: () => void;
}

/** The field to write in. It belongs to one room, or to one message that is edited: another one has another field. */
export const Composer = memo(function Composer(props: ComposerProps) {
  const { room, details, draft, files, editing, onEditLast, onEnd, onSent } = props;
  const words = useWords();
  const { maxContentLength, maxFileBytes, fileTypes } = useFairway().limits();
  const chooser = useRef<HTMLInputElement>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  const [over, setOver] = useState(0);
  const [problem, setProblem] = useState('');
  const [tray, setTray] = useState<typeof import('../files/tray.js') | null>(null);
  const hasFiles = editing === null && files.chosen.length > 0;
  const [picker, setPicker] = useState<typeof import('../emoji/emoji-picker.js') | null>(null);
  const isUntouched = useRef(true);

  const changed = () => {
    const text = field.current?.value ?? '';
    fit(field.current);
    setOver(Math.max(0, [...text].length - maxContentLength));
  };
  const stopEditing = () => {
    if (editing !== null) forgetEdit(editing.id);
    onEnd();
  };
  const send = () => {
    const text = field.current?.value ?? '';
    if ((text.trim() === '' && !hasFiles) || field.current === null) return;
    try {
      if (hasFiles) {
        const toSend = files.chosen.map(({ file, width, height }) => ({ blob: file, name: file.name, width, height }));
        room.sendFiles(toSend, text.trim() === '' ? '' : text);
        files.clear();
      } else if (editing === null) room.send(text);
      else if (text !== editing.content) room.edit(editing.id, text);
      field.current.value = '';
      setProblem('');
      changed();
      if (editing !== null) stopEditing();
      else {
        room.setDraft('');
        onSent();
      }
    } catch (error) {
      if (!(error instanceof FairwayError)) throw error;
      setProblem(error.code === 'OUTBOX_FULL' ? words.composer.full : words.message.why(error.code, []));
    }
  };
  const togglePicker = async () => {
    if (picker !== null) {
      setPicker(null);
      return;
    }
    try {
      setPicker(await import('../emoji/emoji-picker.js'));
      setProblem('');
    } catch {
      // Offline, or a newer build has other files.
      setProblem(words.composer.noPicker);
    }
  };
  useEffect(() => {
    if (!hasFiles || tray !== null) return;
    // Offline, or a newer build has other files: what was chosen is sent, though not shown before.
    import('../files/tray.js').then(setTray, () => undefined);
  }, [hasFiles, tray]);
  // Of this room and this field, whatever is shown a moment after the Enter.
  const latest = useRef(send);
  latest.current = send;
  const [enter] = useState(() => new EnterToSend(() => latest.current()));
  useEffect(() => () => enter.leave(), [enter]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the field is filled once, before the next key; later its text is the user's
  useLayoutEffect(() => {
    if (editing === null || field.current === null) return;
    field.current.value = textOfEdit(editing);
    field.current.focus();
    changed();
  }, []);
  // A draft is read from the disk a moment after the room is open.
  // biome-ignore lint/correctness/useExhaustiveDependencies: only a new draft may change the field
  useEffect(() => {
    if (editing !== null || field.current === null || !isUntouched.current) return;
    field.current.value = draft;
    changed();
  }, [draft]);
  // On a phone, opening a room would open the keyboard over it.
  useLayoutEffect(() => {
    if (matchMedia('(hover: hover)').matches) field.current?.focus();
  }, []);

  const canSend = details?.viewerCanSend ?? true;
  if (!canSend) {
    const isCancelled = details?.cancelledAt !== null;
    return <p className={styles.closed}>{isCancelled ? words.composer.cancelled : words.composer.closed}</p>;
  }
  return (
    <form
      className={styles.composer}
      onSubmit={(event) => {
        event.preventDefault();
        // The button ends a composition, whose last syllable would come back into the field.
        if (enter.want()) {
          field.current?.blur();
          field.current?.focus();
        } else send();
      }}
    >
      {editing !== null && (
        <div className={styles.editing}>
          <span>{words.composer.editing}</span>
          <button type="button" className={styles.cancel} onClick={stopEditing}>
            {words.cancel}
          </button>
        </div>
      )}
      {(over > 0 || problem !== '' || files.problem !== '') && (
        <p className={styles.problem} role="alert">
          {over > 0 ? words.composer.tooLong(over) : problem || files.problem}
        </p>
      )}
      {picker !== null && (
        <picker.EmojiPicker
          onPick={(emoji) => {
            insert(field.current, emoji);
            changed();
          }}
          onClose={() => {
            setPicker(null);
            field.current?.focus();
          }}
        />
      )}
      {hasFiles && tray !== null && (
        <tray.Tray
          chosen={files.chosen}
          onRemove={(key) => {
            files.remove(key);
            field.current?.focus();
          }}
        />
      )}
      <div className={styles.line}>
        {editing === null && maxFileBytes > 0 && (
          <>
            <IconButton label={words.files.attach} onClick={() => chooser.current?.click()}>
              <Icon name="attach" />
            </IconButton>
            {/* A phone offers its camera here as well. */}
            <input
              ref={chooser}
              type="file"
              hidden
              multiple
              accept={acceptOf(fileTypes)}
              aria-label={words.files.attach}
              onChange={({ currentTarget }) => {
                files.add([...(currentTarget.files ?? [])]);
                // The same file may be chosen again.
                currentTarget.value = '';
                field.current?.focus();
              }}
            />
          </>
        )}
        <IconButton label={words.composer.emoji} aria-expanded={picker !== null} onClick={() => void togglePicker()}>
          <Icon name="smile" />
        </IconButton>
        <textarea
          ref={(element) => {
            // A field that goes away right after an Enter still holds the text to send.
            if (element !== null) field.current = element;
          }}
          className={styles.field}
          rows={1}
          dir="auto"
          placeholder={words.composer.placeholder}
          aria-label={editing === null ? words.composer.label : words.composer.editing}
          enterKeyHint="enter"
          onInput={(event) => {
            isUntouched.current = false;
            changed();
            if (editing !== null) {
              keepEdit(editing.id, event.currentTarget.value);
              return;
            }
            room.setDraft(event.currentTarget.value);
            room.setTyping(event.currentTarget.value.trim() !== '');
          }}
          onPaste={(event) => {
            const pasted = filesOf(event.clipboardData);
            // Where there is a text as well, such as from a spreadsheet, the picture of it is not meant.
            if (editing !== null || pasted.length === 0 || event.clipboardData.types.includes('text/plain')) return;
            event.preventDefault();
            files.add(pasted);
          }}
          onCompositionStart={() => enter.compositionStart()}
          onCompositionUpdate={({ data }) => enter.compositionUpdate(data)}
          onCompositionEnd={({ data }) => enter.compositionEnd(data)}
          onKeyDown={(event) => {
            if (event.key === 'Escape' && editing !== null && !event.nativeEvent.isComposing && event.keyCode !== 229)
              stopEditing();
            if (event.key === 'ArrowUp' && event.currentTarget.value === '' && editing === null) {
              event.preventDefault();
              onEditLast();
            }
            // On a phone, the button sends and Enter makes a line.
            if (isTouch()) return;
            if (enter.keyDown(event.nativeEvent)) event.preventDefault();
          }}
        />
        <button
          type="submit"
          className={styles.send}
          aria-label={editing === null ? words.composer.send : words.save}
          title={editing === null ? words.composer.send : words.save}
          disabled={over > 0}
          // Taking the focus would close the keyboard of a phone.
          onPointerDown={(event) => event.preventDefault()}
        >
          <Icon name="send" />
        </button>
      </div>
    </form>
  );
});

const isTouch = (): boolean => matchMedia('(pointer: coarse)').matches;

/** Lets the field grow with its text where the browser does not do it by itself; the style sheet has the limit. */
function fit(field: HTMLTextAreaElement | null): void {
  if (field === null || CSS.supports('field-sizing', 'content')) return;
  field.style.height = 'auto';
  field.style.height = `${field.scrollHeight}px`;
}

/** Writes at the cursor. `execCommand` alone leaves a step to undo; it is old, but nothing has replaced it. */
function insert(field: HTMLTextAreaElement | null, text: string): void {
  if (field === null) return;
  field.focus();
  if (document.execCommand('insertText', false, text)) return;
  field.setRangeText(text, field.selectionStart, field.selectionEnd, 'end');
  field.dispatchEvent(new Event('input', { bubbles: true }));
}
