import type { Connection } from './connection/connection.js';
import type { Environment } from './environment/environment.js';
import type { Files } from './outbox/files.js';
import type { Outbox } from './outbox/outbox.js';
import type { Storage } from './storage/storage.js';
import type { MutableStore } from './store.js';
import type { Limits, User } from './viewer.js';

/** What the parts of one client share. */
export interface Session {
  readonly environment: Environment;
  readonly connection: Connection;
  readonly outbox: Outbox;
  readonly files: Files | undefined;
  readonly viewer: MutableStore<User | null>;
  limits(): Limits;
  /** A message was deleted: its text leaves what is shown and stored elsewhere. */
  forgetMessage(messageId: string): void;
  /** The viewer is a member of this room: one that was gone comes back. */
  returnTo(roomId: string): void;
  /** Begins what runs in the background, the first time that anything is used. */
  start(): void;
  /** The storage of the user, once it is known who that is. */
  storage(): Promise<Storage>;
}

/** Writes to the storage; nobody waits for it. */
export function write(session: Session, use: (storage: Storage) => Promise<void>): void {
  session
    .storage()
    .then(use)
    .catch(() => undefined);
}
