import { useWords } from '../words/use-words.js';
import { Button } from './button.js';
import styles from './confirm.module.css';
import { Dialog } from './dialog.js';

interface ConfirmProps {
  readonly title: string;
  readonly text?: string;
  readonly action: string;
  readonly onConfirm: () => void;
  readonly onClose: () => void;
}

/** Asks before something that cannot be undone. */
export function Confirm({ title, text, action, onConfirm, onClose }: ConfirmProps) {
  const words = useWords();
  return (
    <Dialog title={title} onClose={onClose}>
      {text !== undefined && <p>{text}</p>}
      <div className={styles.actions}>
        <Button kind="plain" onClick={onClose}>
          {words.cancel}
        </Button>
        <Button
          kind="danger"
          onClick={() => {
            onConfirm();
            onClose();
          }}
        >
          {action}
        </Button>
      </div>
    </Dialog>
  );
}
