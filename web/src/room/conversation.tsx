import { useFairway, useViewer } from '@fairway/client/react';
import { useCallback, useEffect, useMemo, useState } from 'react';
import { Announcer } from '../app/announcer.js';
import { forgetMessage, openRoute } from '../app/route.js';
import { Composer } from '../composer/composer.js';
import { useEdited } from '../composer/edits.js';
import { Details } from '../details/details.js';
import { useChosen } from '../files/chosen.js';
import { DropArea } from '../files/drop-area.js';
import { LazyViewer } from '../files/lazy-viewer.js';
import { OpenPicture } from '../files/open-picture.js';
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
  const { snapshot, room: actions, isFlooded, drawNow } = useLiveRoom(roomId);
  const { messages, room, status, firstUnreadId, hasOlder } = snapshot;
  const [menu, setMenu] = useState<{ readonly messageId: string; readonly anchor: HTMLElement } | null>(null);
  const [editing, setEditing] = useEdited(roomId);
  const [toEnd, setToEnd] = useState(0);
  const [hasDetails, setDetails] = useState(false);
  const buildRows = useMemo(createRows, []);
  const rows = buildRows({ messages, viewerId: viewer?.id, firstUnreadId, hasOlder });
  const openMenu = useCallback((id: string, anchor: HTMLElement) => setMenu({ messageId: id, anchor }), []);
  const closeMenu = useCallback(() => setMenu(null), []);
  const loadOlder = useCallback(() => actions.loadOlder(), [actions]);
  const loadNewer = useCallback(() => actions.loadNewer(), [actions]);
  const goTo = useCallback((id: string) => actions.goTo(id), [actions]);
  const see = useCallback((id: string) => actions.see(id), [actions]);
  const goToLatest = useCallback(() => {
    forgetMessage();
    actions.goToLatest();
    drawNow();
    setToEnd((number) => number + 1);
  }, [actions, drawNow]);
  const isKnown = room !== null;
  const editedId = editing?.id;
  const isEditedDeleted = messages.some(({ id, deletedAt }) => id === editedId && deletedAt !== null);
  useEffect(() => {
    if (isEditedDeleted) setEditing(null);
  }, [isEditedDeleted, setEditing]);
  const inMenu = messages.find(({ id }) => id === menu?.messageId);
  const editLast = useCallback(() => {
    const last = actions.getSnapshot().messages.findLast(({ canEdit }) => canEdit);
    if (last !== undefined) setEditing(last);
  }, [actions, setEditing]);
  const { limits } = useFairway();
  const files = useChosen(roomId, limits, words);
  const [viewed, setViewed] = useState<string | null>(null);
  const openPicture = useCallback((id: string) => setViewed(id), []);
  const closePicture = useCallback(() => setViewed(null), []);
  const stopEditing = useCallback(() => setEditing(null), [setEditing]);

  if (status === 'gone') {
    return (
      <Notice text={words.room.gone}>
        <Button onClick={() => openRoute(null)}>{words.room.toList}</Button>
      </Notice>
    );
  }
  return (
    <DropArea
      className={styles.conversation}
      label={room?.title}
      onFiles={room?.viewerCanSend === true && editing === null ? files.add : null}
    >
      <RoomHeader snapshot={snapshot} onDetails={() => setDetails(true)} />
      {/* Until it is known who reads, own messages would stand among those of others. */}
      {viewer === null || (rows.length === 0 && !isKnown) ? (
        <SkeletonMessages label={words.loading} />
      ) : (
        <OpenPicture value={openPicture}>
          <History
            rows={rows}
            snapshot={snapshot}
            isFlooded={isFlooded}
            targetId={messageId}
            editedId={editedId}
            toEnd={toEnd}
            onMenu={openMenu}
            onLoadOlder={loadOlder}
            onLoadNewer={loadNewer}
            onGoTo={goTo}
            onLatest={goToLatest}
            onSee={see}
          />
        </OpenPicture>
      )}
      <Composer
        key={editedId ?? 'new'}
        room={actions}
        details={room}
        draft={snapshot.draft}
        files={files}
        editing={editing}
        onEditLast={editLast}
        onSent={goToLatest}
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
      {viewed !== null && <LazyViewer messages={messages} attachmentId={viewed} onClose={closePicture} />}
    </DropArea>
  );
}
