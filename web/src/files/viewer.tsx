import type { TimelineAttachment } from '@fairway/client';
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { IconButton } from '../parts/button.js';
import { Icon } from '../parts/icon.js';
import { formatFull } from '../words/dates.js';
import { useWords } from '../words/use-words.js';
import { useFileAddress, useReading } from './access.js';
import { blurredOf } from './blurred.js';
import { usePreview } from './picture.js';
import { formatBytes } from './sizes.js';
import { useZoom } from './use-zoom.js';
import styles from './viewer.module.css';

export interface ViewedPicture {
  readonly attachment: TimelineAttachment;
  readonly senderName: string;
  readonly createdAt: string;
}

interface ViewerProps {
  readonly pictures: readonly ViewedPicture[];
  readonly firstId: string;
  readonly onClose: () => void;
}

/** Pictures over the whole page, one at a time. Arrow keys, swiping and buttons lead on; Escape closes. */
export function Viewer({ pictures, firstId, onClose }: ViewerProps) {
  const words = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  const [shownId, setShownId] = useState(firstId);
  const index = pictures.findIndex(({ attachment }) => attachment.id === shownId);
  const shown = pictures[index];
  const { addressOf } = useFileAddress();
  const move = useCallback(
    (by: number) => {
      const next = pictures[index + by];
      if (next !== undefined) setShownId(next.attachment.id);
    },
    [pictures, index],
  );
  useLayoutEffect(() => {
    const element = dialog.current;
    if (element?.open === false) element.showModal();
    // Its keys work at once.
    element?.focus();
    return () => element?.close();
  }, []);
  // It was deleted while it was looked at.
  const isGone = shown === undefined;
  useEffect(() => {
    if (isGone) onClose();
  }, [isGone, onClose]);
  if (shown === undefined) return null;
  const { attachment, senderName, createdAt } = shown;
  const file = addressOf(attachment.url);
  return (
    <dialog
      ref={dialog}
      className={styles.viewer}
      tabIndex={-1}
      aria-label={attachment.name}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onKeyDown={(event) => {
        const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (by === undefined) return;
        event.preventDefault();
        move(by);
      }}
    >
      <header className={styles.head}>
        <div className={styles.about}>
          <h2 className={styles.name} dir="auto">
            {attachment.name}
          </h2>
          <p className={styles.facts}>
            <bdi>{senderName}</bdi> · <time dateTime={createdAt}>{formatFull(createdAt, words)}</time> ·{' '}
            {formatBytes(attachment.byteSize, words)}
          </p>
        </div>
        {file !== undefined && (
          <a
            className={styles.button}
            href={file}
            download={attachment.name}
            aria-label={words.files.download}
            title={words.files.download}
          >
            <Icon name="download" />
          </a>
        )}
        <IconButton className={styles.button} label={words.close} onClick={onClose}>
          <Icon name="close" />
        </IconButton>
      </header>
      <Stage key={attachment.id} attachment={attachment} onSwipe={move} onClose={onClose} />
      {pictures.length > 1 && (
        <footer className={styles.foot}>
          <IconButton
            className={styles.button}
            label={words.files.previous}
            disabled={index === 0}
            onClick={() => move(-1)}
          >
            <Icon name="back" />
          </IconButton>
          <span aria-live="polite">{words.files.position(index + 1, pictures.length)}</span>
          <IconButton
            className={styles.button}
            label={words.files.next}
            disabled={index === pictures.length - 1}
            onClick={() => move(1)}
          >
            <Icon name="next" />
          </IconButton>
        </footer>
      )}
    </dialog>
  );
}

interface StageProps {
  readonly attachment: TimelineAttachment;
  readonly onSwipe: (by: number) => void;
  readonly onClose: () => void;
}

function Stage({ attachment, onSwipe, onClose }: StageProps) {
  const { addressOf } = useFileAddress();
  const preview = usePreview(attachment);
  const { stage, handlers } = useZoom({ onSwipe, onClose });
  // The thumbnails of a long GIF stand still.
  const large = attachment.contentType === 'image/gif' ? attachment.url : attachment.largeUrl;
  const source = addressOf(large) ?? preview ?? addressOf(attachment.url);
  const { isBroken, onError } = useReading(source);
  const small = preview ?? addressOf(attachment.thumbnailUrl) ?? blurredOf(attachment.thumbHash);
  return (
    <div className={styles.stage} ref={stage} {...handlers}>
      {/* What is known already, until the large one has come. */}
      {small !== undefined && <img className={styles.picture} src={small} alt="" draggable={false} />}
      {source !== undefined && !isBroken && (
        <img className={styles.picture} src={source} alt={attachment.name} draggable={false} onError={onError} />
      )}
    </div>
  );
}
