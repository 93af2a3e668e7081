import type { Member } from '@fairway/client';
import { useFairway, usePresence } from '@fairway/client/react';
import { useMemo, useState } from 'react';
import { Avatar } from '../parts/avatar.js';
import { Button, IconButton } from '../parts/button.js';
import { Icon } from '../parts/icon.js';
import { Menu } from '../parts/menu.js';
import { Spoken } from '../parts/spoken.js';
import { useWords } from '../words/use-words.js';
import styles from './member-list.module.css';

interface MemberListProps {
  readonly members: readonly Member[];
  readonly count: number;
  readonly viewerId: string | undefined;
  /** Whether the viewer may change roles and remove members. */
  readonly canChange: boolean;
  readonly hasMore: boolean;
  readonly onMore: () => void;
  readonly onAppoint: (member: Member) => void;
  readonly onRemove: (member: Member) => void;
}

/** The members of a room, who of them is there, and what an admin may do with each. */
export function MemberList({
  members,
  count,
  viewerId,
  canChange,
  hasMore,
  onMore,
  onAppoint,
  onRemove,
}: MemberListProps) {
  const words = useWords();
  const { maxWatchedUsers } = useFairway().limits();
  const [menu, setMenu] = useState<{ readonly member: Member; readonly anchor: HTMLElement } | null>(null);
  const watched = useMemo(
    () => members.slice(0, maxWatchedUsers).map(({ user }) => user.id),
    [members, maxWatchedUsers],
  );
  const presence = usePresence(watched);
  return (
    <section>
      <h3 className={styles.title}>
        {words.details.members} {count}
      </h3>
      <ul>
        {members.map((member) => {
          const { user, isAdmin } = member;
          const isOnline = presence.get(user.id)?.isOnline === true;
          return (
            <li key={user.id} className={styles.member}>
              <Avatar id={user.id} name={user.name} url={user.avatarUrl} size="small" isOnline={isOnline} />
              <span className={styles.name} dir="auto">
                {user.name}
              </span>
              {user.id === viewerId && <span className={styles.tag}>{words.you}</span>}
              {isAdmin && <span className={styles.tag}>{words.details.admin}</span>}
              {isOnline && <Spoken>{words.room.online}</Spoken>}
              {canChange && user.id !== viewerId && (
                <IconButton
                  label={words.details.actions(user.name)}
                  aria-haspopup="menu"
                  onClick={(event) => setMenu({ member, anchor: event.currentTarget })}
                >
                  <Icon name="more" />
                </IconButton>
              )}
            </li>
          );
        })}
      </ul>
      {hasMore && (
        <Button kind="plain" onClick={onMore}>
          {words.details.more}
        </Button>
      )}
      {menu !== null && (
        <Menu
          label={words.details.actions(menu.member.user.name)}
          anchor={menu.anchor}
          items={[
            {
              label: menu.member.isAdmin ? words.details.dismiss : words.details.appoint,
              onSelect: () => onAppoint(menu.member),
            },
            { label: words.details.remove, isDangerous: true, onSelect: () => onRemove(menu.member) },
          ]}
          onClose={() => setMenu(null)}
        />
      )}
    </section>
  );
}
