import type { TimelineAttachment, TimelineMessage } from '@fairway/client';
import { Icon } from '../parts/icon.js';
import { useWords } from '../words/use-words.js';
import { useFileAddress, useReading } from './access.js';
import styles from './attachments.module.css';
import { albumWidth, boxOf, filmBox, isGone, rowsOfAlbum, sortAttachments, wasDrawn } from './layout.js';
import { Picture, usePreview } from './picture.js';
import pictureStyles from './picture.module.css';
import { Ring } from './ring.js';
import { formatBytes } from './sizes.js';

/** The files of a message: pictures and films first, in their own order. */
export function Attachments({ message }: { readonly message: TimelineMessage }) {
  const { pictures, films, sounds, files } = sortAttachments(message.status === 'pending' ? message : atRest(message));
  const isUnsent = message.seq === null;
  const [only] = pictures;
  return (
    <>
      {pictures.length > 1 && <Album pictures={pictures} isUnsent={isUnsent} />}
      {pictures.length === 1 && only !== undefined && <Single picture={only} isUnsent={isUnsent} />}
      {films.map((film) => (
        <Film key={film.id} film={film} />
      ))}
      {[...sounds, ...files].map((file) => (
        <FileRow key={file.id} file={file} />
      ))}
    </>
  );
}

/** What waits, or has failed, shows no progress. */
const atRest = ({ attachments }: TimelineMessage) => ({
  attachments: attachments.map(({ progress: _none, ...attachment }): TimelineAttachment => attachment),
});

function Single({ picture, isUnsent }: { readonly picture: TimelineAttachment; readonly isUnsent: boolean }) {
  // One that was there keeps its place.
  if (isGone(picture) && !wasDrawn(picture.id)) return <FileRow file={picture} />;
  const { width, height } = boxOf(picture);
  return <Picture attachment={picture} isUnsent={isUnsent} style={{ width, aspectRatio: `${width} / ${height}` }} />;
}

function Album({
  pictures,
  isUnsent,
}: {
  readonly pictures: readonly TimelineAttachment[];
  readonly isUnsent: boolean;
}) {
  const rows = rowsOfAlbum(pictures.length).flatMap((count) => Array<number>(count).fill(count));
  return (
    <div className={styles.album} style={{ width: albumWidth }}>
      {pictures.map((picture, index) => (
        <Picture
          key={picture.id}
          attachment={picture}
          isUnsent={isUnsent}
          className={`${pictureStyles.tile} ${rows[index] === 3 ? styles.third : styles.half}`}
        />
      ))}
    </div>
  );
}

/** Played by the browser. */
function Film({ film }: { readonly film: TimelineAttachment }) {
  const { addressOf } = useFileAddress();
  const preview = usePreview(film);
  const source = preview ?? addressOf(film.url);
  const { isBroken, onError } = useReading(source);
  if (isGone(film)) return <FileRow file={film} />;
  return (
    <span className={styles.film} style={{ width: filmBox.width }}>
      {/* biome-ignore lint/a11y/useMediaCaption: people's own films have none */}
      <video
        className={styles.video}
        src={isBroken ? undefined : source}
        onError={onError}
        controls={film.progress === undefined}
        preload="metadata"
        playsInline
        aria-label={film.name}
      />
      {film.progress !== undefined && (
        <span className={styles.over}>
          <Ring progress={film.progress} name={film.name} />
        </span>
      )}
    </span>
  );
}

/** A long name loses its end, which says what it is. */
const extensionOf = (name: string): string => {
  const [, extension] = /\.(\w{1,5})$/.exec(name) ?? [];
  return extension === undefined ? '' : `${extension.toUpperCase()} · `;
};

const iconOf = { IMAGE: 'picture', VIDEO: 'film', AUDIO: 'sound', FILE: 'file' } as const;

/**
 * A file with its name and size; sound with the browser's player below.
 * @param isPlain - in a list of files, where nothing is played
 */
export function FileRow({ file, isPlain = false }: { readonly file: TimelineAttachment; readonly isPlain?: boolean }) {
  const words = useWords();
  const { addressOf } = useFileAddress();
  const preview = usePreview(file);
  const { name, byteSize, kind, status, failure, progress, url } = file;
  const address = isGone(file) || progress !== undefined ? undefined : addressOf(url);
  const sound = kind === 'AUDIO' ? (preview ?? address) : undefined;
  const { isBroken, onError } = useReading(sound);
  const note =
    status === 'EXPIRED'
      ? words.files.expired
      : status === 'FAILED'
        ? words.files.failed(failure ?? '')
        : status === 'PROCESSING'
          ? words.files.processing
          : undefined;
  const about = (
    <>
      <span className={styles.face}>
        {progress === undefined ? (
          <Icon name={isGone(file) ? 'alert' : iconOf[kind]} />
        ) : (
          <Ring progress={progress} name={name} isOver={false} />
        )}
      </span>
      <span className={styles.about}>
        <span className={styles.name} dir="auto">
          {name}
        </span>
        <span className={styles.size}>{note ?? `${extensionOf(name)}${formatBytes(byteSize, words)}`}</span>
      </span>
    </>
  );
  return (
    <div className={isPlain ? styles.plain : styles.file}>
      {address === undefined ? (
        <span className={styles.row}>{about}</span>
      ) : (
        <a className={styles.row} href={address} target="_blank" rel="noopener noreferrer" title={name}>
          {about}
        </a>
      )}
      {kind === 'AUDIO' && !isPlain && !isGone(file) && (
        // biome-ignore lint/a11y/useMediaCaption: people's own recordings have none
        <audio
          className={styles.audio}
          src={isBroken ? undefined : sound}
          onError={onError}
          controls
          preload="metadata"
          aria-label={name}
        />
      )}
    </div>
  );
}
