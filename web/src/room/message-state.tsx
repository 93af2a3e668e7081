import type { TimelineMessage } from '@fairway/client';
import { useFairway } from '@fairway/client/react';
import { Icon } from '../parts/icon.js';
import { useWords } from '../words/use-words.js';
import styles from './message-state.module.css';

const icons = { pending: 'clock', waiting: 'pause', failed: 'alert' } as const;

/** Whether a message is on its way, waits, or was not sent, by an icon and a word, with what can be done about it. */
export function MessageState({
  message: { id, seq, status, error, attachments, content },
}: {
  readonly message: TimelineMessage;
}) {
  const words = useWords();
  const fairway = useFairway();
  if (status === 'sent') return null;
  const refused = attachments.filter((one) => one.status === 'FAILED');
  const hasRest = attachments.length > refused.length || content !== '';
  return (
    <span className={`${styles.state} ${styles[status] ?? ''}`}>
      <span className={styles.word}>
        <Icon name={icons[status]} size={16} />
        {words.message.status[status]}
      </span>
      {status !== 'failed' && seq === null && attachments.length > 0 && (
        <button type="button" className={styles.action} onClick={() => fairway.outbox.discard(id)}>
          {words.cancel}
        </button>
      )}
      {status === 'failed' && (
        <>
          <span>
            {words.message.why(
              error ?? '',
              refused.map(({ name }) => name),
            )}
          </span>
          <span className={styles.actions}>
            <button type="button" className={styles.action} onClick={() => fairway.outbox.retry(id)}>
              {words.retry}
            </button>
            {refused.length > 0 && hasRest && (
              <button
                type="button"
                className={styles.action}
                onClick={() =>
                  fairway.outbox.retryWithout(
                    id,
                    refused.map((one) => one.id),
                  )
                }
              >
                {words.message.withoutFile}
              </button>
            )}
            <button type="button" className={styles.action} onClick={() => fairway.outbox.discard(id)}>
              {words.message.discard}
            </button>
          </span>
        </>
      )}
    </span>
  );
}
