import { type Session, write } from '../session.js';

/** A draft is written when nothing was typed for this time. */
const quietMs = 500;

/** The unsent text of a room, which survives a reload. */
export interface Draft {
  get(): string;
  set(text: string): void;
  load(): Promise<void>;
  /** Writes what is not written yet. */
  flush(): void;
  /** Forgets it without writing: another user is signed in, or the room is gone. */
  forget(): void;
}

export function createDraft(session: Session, roomId: string, changed: () => void): Draft {
  let text = '';
  let isTouched = false;
  let cancel: (() => void) | undefined;
  const flush = () => {
    if (cancel === undefined) return;
    cancel();
    cancel = undefined;
    const value = text;
    write(session, (storage) =>
      value === '' ? storage.delete('drafts', roomId) : storage.put('drafts', roomId, value),
    );
  };
  return {
    get: () => text,
    set: (value) => {
      isTouched = true;
      if (value === text) return;
      text = value;
      cancel?.();
      cancel = session.environment.setTimer(flush, quietMs);
      changed();
    },
    load: async () => {
      const stored = await (await session.storage()).get('drafts', roomId);
      // What was typed meanwhile is newer.
      if (isTouched || typeof stored !== 'string') return;
      text = stored;
      changed();
    },
    flush,
    forget: () => {
      cancel?.();
      [cancel, text, isTouched] = [undefined, '', false];
    },
  };
}
