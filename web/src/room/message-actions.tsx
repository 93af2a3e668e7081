import type { Room, RoomSnapshot, TimelineMessage } from '@fairway/client';
import { useEffect, useState } from 'react';
import { addressOf } from '../app/route.js';
import { Confirm } from '../parts/confirm.js';
import { Menu, type MenuItem } from '../parts/menu.js';
import { useWords } from '../words/use-words.js';
import styles from './message-actions.module.css';
import { Readers } from './readers.js';

interface MessageActionsProps {
  readonly room: Room;
  readonly snapshot: RoomSnapshot;
  readonly message: TimelineMessage;
  readonly anchor: HTMLElement;
  readonly onEdit: (message: TimelineMessage) => void;
  readonly onClose: () => void;
}

/** The menu of a message, and what it opens. */
export function MessageActions({ room, snapshot, message, anchor, onEdit, onClose }: MessageActionsProps) {
  const words = useWords();
  const [opened, setOpened] = useState<'menu' | 'readers' | 'delete' | 'copied'>('menu');
  const copyAndTell = (text: string) => copyText(text).then(() => setOpened('copied'), onClose);
  if (opened === 'readers') return <Readers snapshot={snapshot} message={message} room={room} onClose={onClose} />;
  if (opened === 'delete') {
    return (
      <Confirm
        title={words.message.deleteTitle}
        text={words.message.deleteText}
        action={words.message.delete}
        onConfirm={() => room.delete(message.id)}
        onClose={onClose}
      />
    );
  }
  if (opened === 'copied') return <Done text={words.message.copied} onClose={onClose} />;
  const { copy, copyLink, edit, readers } = words.message;
  const items: MenuItem[] = [
    { label: copy, onSelect: () => copyAndTell(message.content ?? '') },
    ...(message.seq === null ? [] : [{ label: copyLink, onSelect: () => copyAndTell(addressOf(room.id, message.id)) }]),
    ...(message.seq === null ? [] : [{ label: readers, onSelect: () => setOpened('readers') }]),
    ...(message.canEdit
      ? [
          {
            label: edit,
            onSelect: () => {
              onEdit(message);
              onClose();
            },
          },
        ]
      : []),
    ...(message.canDelete
      ? [{ label: words.message.delete, isDangerous: true, onSelect: () => setOpened('delete') }]
      : []),
  ];
  return (
    <Menu
      label={words.message.actions((message.content ?? '').slice(0, 40))}
      anchor={anchor}
      items={items}
      onClose={(isSelected) => {
        if (!isSelected) onClose();
      }}
    />
  );
}

const doneMs = 1_500;

/** Says for a moment that something is done. */
function Done({ text, onClose }: { readonly text: string; readonly onClose: () => void }) {
  useEffect(() => {
    const timer = setTimeout(onClose, doneMs);
    return () => clearTimeout(timer);
  }, [onClose]);
  return (
    <p role="status" className={styles.done}>
      {text}
    </p>
  );
}

/** Where a page may not write to the clipboard (plain http), an older way is taken. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(text);
  const field = document.createElement('textarea');
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand('copy');
  field.remove();
}
