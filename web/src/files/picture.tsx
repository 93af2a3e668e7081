import type { TimelineAttachment } from '@fairway/client';
import { useFairway } from '@fairway/client/react';
import { type CSSProperties, useContext } from 'react';
import { Icon } from '../parts/icon.js';
import { useWords } from '../words/use-words.js';
import { useFileAddress, useReading } from './access.js';
import { blurredOf } from './blurred.js';
import { OpenPicture } from './open-picture.js';
import styles from './picture.module.css';
import { Ring } from './ring.js';

interface PictureProps {
  readonly attachment: TimelineAttachment;
  /** Of a message that is not sent yet. */
  readonly isUnsent: boolean;
  readonly style?: CSSProperties;
  readonly className?: string | undefined;
}

/** A picture in a space that is there before it has come: blurred at once, then as it is. */
export function Picture({ attachment, isUnsent, style, className = '' }: PictureProps) {
  const words = useWords();
  const open = useContext(OpenPicture);
  const { name, status, failure, url, progress } = attachment;
  const frame = `${styles.frame} ${className}`;
  if (status === 'FAILED' || status === 'EXPIRED') {
    const reason = status === 'EXPIRED' ? words.files.expired : words.files.failed(failure ?? '');
    return (
      <span className={`${frame} ${styles.without}`} style={style} title={name}>
        <Icon name="alert" />
        <span className={styles.reason}>{reason}</span>
      </span>
    );
  }
  const layers = <Layers attachment={attachment} />;
  if (isUnsent || url === null) {
    return (
      <span className={frame} style={style}>
        {layers}
        {progress !== undefined && (
          <span className={styles.over}>
            <Ring progress={progress} name={name} />
          </span>
        )}
      </span>
    );
  }
  return (
    <button
      type="button"
      className={frame}
      style={style}
      aria-label={words.files.open(name)}
      onClick={() => open(attachment.id)}
    >
      {layers}
    </button>
  );
}

/** The blurred preview, and over it what there is of the picture. */
export function Layers({ attachment }: { readonly attachment: TimelineAttachment }) {
  const words = useWords();
  const { addressOf } = useFileAddress();
  const preview = usePreview(attachment);
  const blurred = blurredOf(attachment.thumbHash);
  const source = preview ?? addressOf(attachment.thumbnailUrl);
  const { isBroken, onError } = useReading(source);
  return (
    <>
      {blurred !== undefined && <img className={styles.blurred} src={blurred} alt="" draggable={false} />}
      {source !== undefined && !isBroken ? (
        <img
          className={styles.picture}
          src={source}
          alt=""
          loading="lazy"
          decoding="async"
          draggable={false}
          onError={onError}
        />
      ) : (
        blurred === undefined && (
          <span className={styles.waiting}>
            <Icon name="picture" />
            {attachment.status === 'PROCESSING' && <span className={styles.word}>{words.files.processing}</span>}
          </span>
        )
      )}
    </>
  );
}

/** The file on this device, if this page has sent it. */
export function usePreview({ id, previewUrl }: TimelineAttachment): string | undefined {
  const { files } = useFairway();
  return previewUrl ?? files?.previewOf(id);
}
