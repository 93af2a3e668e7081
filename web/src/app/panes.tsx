import { RoomList } from '../list/room-list.js';
import { Conversation } from '../room/conversation.js';
import { useWords } from '../words/use-words.js';
import styles from './panes.module.css';
import { useRoute } from './route.js';
import { useTitle } from './title.js';
import { useVisibleHeight } from './use-visible-height.js';

/** The list beside the open room; one of the two on a narrow screen. */
export function Panes() {
  const { roomId, messageId } = useRoute();
  const words = useWords();
  useTitle();
  useVisibleHeight();
  return (
    <div className={styles.panes} data-open={roomId !== null}>
      <div className={styles.list}>
        <RoomList openId={roomId} />
      </div>
      <main className={styles.room}>
        {roomId === null ? (
          <p className={styles.none}>{words.room.choose}</p>
        ) : (
          <Conversation key={roomId} roomId={roomId} messageId={messageId} />
        )}
      </main>
    </div>
  );
}
