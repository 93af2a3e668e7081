import { memo, useState } from 'react';
import { isTrustedPicture } from '../app/settings.js';
import { Attachments } from '../files/attachments.js';
import { describeMessage } from '../files/describe.js';
import { sortAttachments } from '../files/layout.js';
import { Avatar } from '../parts/avatar.js';
import { Icon } from '../parts/icon.js';
import { Spoken } from '../parts/spoken.js';
import { formatDay, formatFull, formatTime } from '../words/dates.js';
import { useWords } from '../words/use-words.js';
import styles from './message-row.module.css';
import { MessageState } from './message-state.js';
import { foldedLines, type Row } from './rows.js';
import { Text } from './text.js';

interface MessageRowProps {
  readonly row: Row;
  /** Whether it is the one that somebody was led to, or edits. */
  readonly isTarget: boolean;
  readonly onMenu: (messageId: string, anchor: HTMLElement) => void;
}

/** One message, with the day or the unread line above it. */
export const MessageRow = memo(function MessageRow({ row, isTarget, onMenu }: MessageRowProps) {
  const words = useWords();
  const { message, opensDay, opensUnread, isOwn, opensGroup, showsTime } = row;
  const spoken = message.deletedAt === null ? describeMessage(message, words) : words.message.deleted;
  // Its state takes the place of the time: with both, it would be higher than a file.
  const isOnItsWay = message.seq === null && message.attachments.length > 0;
  // Beside files, there is no room for a reason.
  const isBelow = message.status === 'failed' && message.attachments.length > 0;
  const { pictures, films } = sortAttachments(message);
  const hasMedia = message.deletedAt === null && pictures.length + films.length > 0;
  return (
    <>
      {opensDay && (
        <h3 className={styles.day}>
          <time dateTime={message.createdAt}>{formatDay(message.createdAt, words)}</time>
        </h3>
      )}
      {opensUnread && <p className={styles.unread}>{words.room.unread}</p>}
      {message.type === 'SYSTEM' ? (
        <SystemLine row={row} />
      ) : (
        <article
          className={`${styles.message} ${isOwn ? styles.own : ''} ${opensGroup ? styles.first : ''}`}
          aria-label={words.message.from(message.senderName, spoken)}
        >
          {!isOwn && (
            <span className={styles.face}>
              {opensGroup && (
                <Avatar id={message.sender.id} name={message.senderName} url={message.sender.avatarUrl} size="small" />
              )}
            </span>
          )}
          <div className={styles.content}>
            {!isOwn && opensGroup && (
              <span className={styles.name} dir="auto">
                {message.senderName}
              </span>
            )}
            <div className={styles.line}>
              <div
                className={`${styles.bubble} ${isTarget ? styles.target : ''} ${message.attachments.length > 0 ? styles.withFiles : ''} ${hasMedia ? styles.withMedia : ''}`}
              >
                <Content row={row} />
              </div>
              <div className={styles.beside}>
                {!isBelow && <MessageState message={message} />}
                {message.unreadMemberCount !== null && message.unreadMemberCount > 0 && message.status === 'sent' && (
                  <span className={styles.count} title={words.message.unread(message.unreadMemberCount)}>
                    <span aria-hidden="true">{message.unreadMemberCount}</span>
                    <Spoken>{words.message.unread(message.unreadMemberCount)}</Spoken>
                  </span>
                )}
                {showsTime && !isOnItsWay && (
                  <time
                    className={styles.time}
                    dateTime={message.createdAt}
                    title={formatFull(message.createdAt, words)}
                  >
                    {formatTime(message.createdAt, words)}
                  </time>
                )}
              </div>
              {message.deletedAt === null && (
                <button
                  type="button"
                  className={styles.menu}
                  aria-label={words.message.actions(spoken.slice(0, 40))}
                  aria-haspopup="menu"
                  onClick={(event) => onMenu(message.id, event.currentTarget)}
                >
                  <Icon name="more" size={20} />
                </button>
              )}
            </div>
            {isBelow && (
              <div className={styles.below}>
                <MessageState message={message} />
              </div>
            )}
          </div>
        </article>
      )}
    </>
  );
});

function Content({ row: { message } }: { readonly row: Row }) {
  const words = useWords();
  if (message.deletedAt !== null) return <em className={styles.deleted}>{words.message.deleted}</em>;
  const content = message.content ?? '';
  if (message.attachments.length > 0) {
    return (
      <>
        <Attachments message={message} />
        {content !== '' && (
          <div className={styles.caption}>
            <LongText text={content} />
          </div>
        )}
      </>
    );
  }
  if (message.type === 'IMAGE') return <Picture url={content} />;
  return (
    <>
      <LongText text={content} />
      {message.editedAt !== null && <span className={styles.edited}> {words.message.edited}</span>}
    </>
  );
}

const foldedLength = 1_500;

function LongText({ text }: { readonly text: string }) {
  const words = useWords();
  const [isWhole, setWhole] = useState(false);
  const folded = text.split('\n', foldedLines).join('\n').slice(0, foldedLength);
  if (isWhole || folded.length === text.length) return <Text text={text} />;
  return (
    <>
      <Text text={`${folded.replace(/[\ud800-\udbff]$/, '')}…`} />
      <button type="button" className={styles.more} onClick={() => setWhole(true)}>
        {words.message.more}
      </button>
    </>
  );
}

/** A picture of a known address, in a space that is there before it has come. Any other opens only when it is asked for. */
function Picture({ url }: { readonly url: string }) {
  const words = useWords();
  if (isTrustedPicture(url)) {
    return (
      <a href={url} target="_blank" rel="noreferrer noopener" className={styles.picture}>
        <img src={url} alt={words.message.picture} loading="lazy" decoding="async" />
      </a>
    );
  }
  return (
    <a href={safeAddress(url)} target="_blank" rel="noreferrer noopener nofollow ugc" className={styles.closedPicture}>
      <Icon name="picture" />
      <span>{words.message.showPicture(hostOf(url))}</span>
    </a>
  );
}

const safeAddress = (url: string): string | undefined => (/^https?:\/\//i.test(url) ? url : undefined);

function hostOf(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    return '?';
  }
}

/** What has happened in the room, in the reader's language. */
function SystemLine({ row: { message } }: { readonly row: Row }) {
  const words = useWords();
  const { system, content, senderName } = message;
  const text =
    system === null
      ? (content ?? '')
      : words.room.system({
          code: system.code,
          sender: senderName,
          users: system.users.map(({ name }) => name),
          content,
        });
  return (
    <p className={styles.system} dir="auto">
      {text}
    </p>
  );
}
