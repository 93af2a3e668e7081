import type { TimelineMessage } from '@fairway/client';
import { useViewer } from '@fairway/client/react';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { Announcer } from '../app/announcer.js';
import { forgetMessage, openRoute } from '../app/route.js';
import { Composer } from '../composer/composer.js';
import { Details } from '../details/details.js';
import { Button } from '../parts/button.js';
import { Notice } from '../parts/notice.js';
import { useWords } from '../words/use-words.js';
import styles from './conversation.module.css';
import { History } from './history.js';
import { MessageActions } from './message-actions.js';
import { RoomHeader } from './room-header.js';
import { createRows } from './rows.js';
import { SkeletonMessages } from './skeleton-messages.js';
import { useLiveRoom } from './use-live-room.js';

interface ConversationProps {
  readonly roomId: string;
  /** A message to show in its surroundings. */
  readonly messageId: string | null;
}

/** An open room: its history, and the field to write in. */
export function Conversation({ roomId, messageId }: ConversationProps) {
  const words = useWords();
  const viewer = useViewer();
  const { snapshot, room: actions } = useLiveRoom(roomId);
  const { messages, room, status, firstUnreadId, hasOlder } = snapshot;
  const [menu, setMenu] = useState<{ readonly messageId: string; readonly anchor: HTMLElement } | null>(null);
  const [editing, setEditing] = useState<TimelineMessage | null>(null);
  const [hasDetails, setDetails] = useState(false);
  const scroller = useRef<HTMLDivElement>(null);
  const buildRows = useMemo(createRows, []);
  const rows = buildRows({ messages, viewerId: viewer?.id, firstUnreadId, hasOlder });
  const openMenu = useCallback((id: string, anchor: HTMLElement) => setMenu({ messageId: id, anchor }), []);
  const closeMenu = useCallback(() => setMenu(null), []);
  const loadOlder = useCallback(() => void actions.loadOlder(), [actions]);
  const loadNewer = useCallback(() => void actions.loadNewer(), [actions]);
  const see = useCallback((id: string) => actions.see(id), [actions]);
  const goToLatest = useCallback(() => {
    forgetMessage();
    actions.goToLatest();
  }, [actions]);
  const isKnown = room !== null;
  useEffect(() => {
    if (messageId !== null && isKnown) void actions.goTo(messageId);
  }, [messageId, isKnown, actions]);
  const editedId = editing?.id;
  const isEditedDeleted = messages.some(({ id, deletedAt }) => id === editedId && deletedAt !== null);
  useEffect(() => {
    if (isEditedDeleted) setEditing(null);
  }, [isEditedDeleted]);
  const inMenu = messages.find(({ id }) => id === menu?.messageId);
  const editLast = useCallback(() => {
    const last = actions.getSnapshot().messages.findLast(({ canEdit }) => canEdit);
    if (last !== undefined) setEditing(last);
  }, [actions]);
  const stopEditing = useCallback(() => setEditing(null), []);

  if (status === 'gone') {
    return (
      <Notice text={words.room.gone}>
        <Button onClick={() => openRoute(null)}>{words.room.toList}</Button>
      </Notice>
    );
  }
  return (
    <section className={styles.conversation} aria-label={room?.title}>
      <RoomHeader snapshot={snapshot} onDetails={() => setDetails(true)} />
      {rows.length === 0 && !isKnown ? (
        <SkeletonMessages label={words.loading} />
      ) : (
        <History
          rows={rows}
          snapshot={snapshot}
          targetId={messageId}
          scroller={scroller}
          onMenu={openMenu}
          onLoadOlder={loadOlder}
          onLoadNewer={loadNewer}
          onLatest={goToLatest}
          onSee={see}
        />
      )}
      <Composer
        key={editedId ?? 'new'}
        room={actions}
        details={room}
        draft={snapshot.draft}
        editing={editing}
        onEditLast={editLast}
        onEnd={stopEditing}
      />
      <Announcer messages={messages} viewerId={viewer?.id ?? ''} />
      {menu !== null && inMenu !== undefined && (
        <MessageActions
          room={actions}
          snapshot={snapshot}
          message={inMenu}
          anchor={menu.anchor}
          onEdit={setEditing}
          onClose={closeMenu}
        />
      )}
      {hasDetails && room !== null && (
        <Details snapshot={snapshot} room={actions} viewerId={viewer?.id} onClose={() => setDetails(false)} />
      )}
    </section>
  );
}
