import { createFeed, type Feed } from '../connection/feed.js';
import { FairwayError } from '../errors.js';
import { SetTypingDocument, TypingDocument, type TypingSubscription } from '../operations/generated/documents.js';
import type { Session } from '../session.js';

export type TypingUser = TypingSubscription['typing']['users'][number];

/** A stream of its own for this is too much. */
const withoutSocketMs = 30_000;

/** Follows who types in a room. The list is empty while it is not known. */
export function followTyping(session: Session, roomId: string, show: (users: readonly TypingUser[]) => void): Feed {
  return createFeed({
    environment: session.environment,
    connection: session.connection,
    prepare: async ({ line }) => {
      if (line.transport !== 'websocket') throw new FairwayError('NO_ANSWER', 'Sockets only', withoutSocketMs);
      return { document: TypingDocument, variables: { roomId } };
    },
    next: ({ typing }) => show(typing.users),
    polled: () => show([]),
    stale: () => show([]),
    gone: () => show([]),
  });
}

/** Says that the viewer types: at once, again while they go on, and that they stopped when nothing comes any more. */
export interface TypingSignal {
  set(isTyping: boolean): void;
  /** The viewer has sent a message, which ends the signal on the server. */
  sent(): void;
}

export function createTypingSignal(session: Session, roomId: string): TypingSignal {
  const { environment, connection } = session;
  let isOn = false;
  let canRepeat = true;
  let cancelRepeat = () => {};
  let cancelEnd = () => {};
  const say = (isTyping: boolean) => {
    if (!connection.socketState.isOpen) return;
    connection.request(SetTypingDocument, { input: { roomId, isTyping } }).catch(() => undefined);
  };
  const reset = () => {
    cancelRepeat();
    cancelEnd();
    [isOn, canRepeat] = [false, true];
  };
  const end = () => {
    if (isOn) say(false);
    reset();
  };
  return {
    set: (isTyping) => {
      if (!isTyping) return end();
      const lapseMs = session.limits().typingExpiresInMs;
      cancelEnd();
      cancelEnd = environment.setTimer(end, lapseMs);
      if (isOn && !canRepeat) return;
      [isOn, canRepeat] = [true, false];
      cancelRepeat = environment.setTimer(() => {
        canRepeat = true;
      }, lapseMs / 2);
      say(true);
    },
    sent: reset,
  };
}
