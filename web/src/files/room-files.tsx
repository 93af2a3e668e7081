import { useFairway } from '@fairway/client/react';
import { useCallback, useEffect, useRef, useState } from 'react';
import { RoomFilesDocument, type RoomFilesQuery } from '../operations/generated/documents.js';
import { Button } from '../parts/button.js';
import { formatFull } from '../words/dates.js';
import { useWords } from '../words/use-words.js';
import { FileRow } from './attachments.js';
import { OpenPicture } from './open-picture.js';
import { Picture } from './picture.js';
import pictureStyles from './picture.module.css';
import styles from './room-files.module.css';
import { Viewer } from './viewer.js';

type Edge = NonNullable<RoomFilesQuery['room']>['attachments']['edges'][number];

interface Shown {
  readonly edges: readonly Edge[];
  readonly cursor: string | null;
  readonly status: 'loading' | 'ready' | 'failed';
}

const pageSize = 30;
const nothing: Shown = { edges: [], cursor: null, status: 'loading' };

/** All files of a room: its pictures, or everything with names and sizes; the newest first, page by page. */
export function RoomFiles({ roomId }: { readonly roomId: string }) {
  const words = useWords();
  const fairway = useFairway();
  const [kind, setKind] = useState<'IMAGE' | null>('IMAGE');
  const [{ edges, cursor, status }, setShown] = useState<Shown>(nothing);
  const [viewed, setViewed] = useState<string | null>(null);
  const turn = useRef(0);
  const load = useCallback(
    async (after: string | null) => {
      const mine = turn.current;
      setShown((before) => ({ ...before, status: 'loading' }));
      try {
        const { room } = await fairway.request(RoomFilesDocument, { roomId, kind, first: pageSize, after });
        if (mine !== turn.current) return;
        const { edges: more = [], pageInfo } = room?.attachments ?? {};
        const cursor = pageInfo?.hasNextPage === true ? pageInfo.endCursor : null;
        setShown((before) => ({ edges: [...before.edges, ...more], cursor, status: 'ready' }));
      } catch {
        if (mine === turn.current) setShown((before) => ({ ...before, status: 'failed' }));
      }
    },
    [fairway, roomId, kind],
  );
  useEffect(() => {
    turn.current += 1;
    setShown(nothing);
    void load(null);
  }, [load]);
  const tabs = [
    ['IMAGE', words.files.allPictures],
    [null, words.files.all],
  ] as const;
  const pictures = edges
    .filter(({ node }) => node.kind === 'IMAGE' && node.url !== null)
    .map(({ node, message }) => ({ attachment: node, senderName: message.senderName, createdAt: message.createdAt }));
  return (
    <>
      <div className={styles.tabs}>
        {tabs.map(([value, label]) => (
          <button
            key={label}
            type="button"
            className={styles.tab}
            aria-pressed={kind === value}
            onClick={() => setKind(value)}
          >
            {label}
          </button>
        ))}
      </div>
      {kind === 'IMAGE' ? (
        <OpenPicture value={setViewed}>
          <div className={styles.grid}>
            {edges.map(({ node }) => (
              <Picture
                key={node.id}
                attachment={node}
                isUnsent={false}
                className={`${pictureStyles.tile} ${styles.tile}`}
              />
            ))}
          </div>
        </OpenPicture>
      ) : (
        <ul className={styles.list}>
          {edges.map(({ node, message }) => (
            <li key={node.id}>
              <FileRow file={node} isPlain />
              <p className={styles.from}>
                <bdi>{message.senderName}</bdi> ·{' '}
                <time dateTime={message.createdAt}>{formatFull(message.createdAt, words)}</time>
              </p>
            </li>
          ))}
        </ul>
      )}
      {status === 'loading' && <p role="status">{words.loading}</p>}
      {status === 'ready' && edges.length === 0 && <p>{words.files.none}</p>}
      {status === 'failed' && <p role="alert">{words.files.notLoaded}</p>}
      {(status === 'failed' || (status === 'ready' && cursor !== null)) && (
        <Button kind="plain" onClick={() => void load(cursor)}>
          {status === 'failed' ? words.retry : words.details.more}
        </Button>
      )}
      {viewed !== null && <Viewer pictures={pictures} firstId={viewed} onClose={() => setViewed(null)} />}
    </>
  );
}
