import type { Member, Room, RoomSnapshot, TimelineMessage } from '@fairway/client';
import { useEffect } from 'react';
import { Avatar } from '../parts/avatar.js';
import { Dialog } from '../parts/dialog.js';
import { useWords } from '../words/use-words.js';
import styles from './readers.module.css';

interface ReadersProps {
  readonly room: Room;
  readonly snapshot: RoomSnapshot;
  readonly message: TimelineMessage;
  readonly onClose: () => void;
}

/** Who has read a message, and who has not. */
export function Readers({ room, snapshot, message, onClose }: ReadersProps) {
  const words = useWords();
  const { members, hasMoreMembers } = snapshot;
  // biome-ignore lint/correctness/useExhaustiveDependencies: each page that has come asks for the next one
  useEffect(() => {
    if (hasMoreMembers) void room.loadMoreMembers();
  }, [hasMoreMembers, room, members.length]);
  const seq = message.seq ?? 0;
  // Who joined later could not have read it.
  const others = members.filter(({ user, joinedSeq }) => user.id !== message.sender.id && joinedSeq <= seq);
  const readers = others.filter(({ lastReadSeq }) => lastReadSeq >= seq);
  const unread = others.filter(({ lastReadSeq }) => lastReadSeq < seq);
  return (
    <Dialog title={words.message.readers} onClose={onClose}>
      {readers.length === 0 && <p className={styles.none}>{words.message.readByNobody}</p>}
      <People title={words.message.read(readers.length)} people={readers} />
      <People title={words.message.notRead(unread.length)} people={unread} />
    </Dialog>
  );
}

function People({ title, people }: { readonly title: string; readonly people: readonly Member[] }) {
  if (people.length === 0) return null;
  return (
    <section>
      <h3 className={styles.title}>{title}</h3>
      <ul>
        {people.map(({ user }) => (
          <li key={user.id} className={styles.person}>
            <Avatar id={user.id} name={user.name} url={user.avatarUrl} size="small" />
            <span dir="auto">{user.name}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
