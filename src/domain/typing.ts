/** A typing signal expires after this time; clients repeat it earlier. */
export const typingExpiresInMs = 6_000;

/** At most one signal per user and room is sent in this time; if there are more, the newest one is. */
export const typingGapMs = 1_000;

/** A user whose newest signal says that they are typing; `saidAt` is its time by `performance.now()`. */
export interface Typist {
  readonly userId: number;
  readonly saidAt: number;
  /** The head of the room's log when the user's permission was checked; null if this signal needed no new check. */
  readonly seq: number | null;
}

export interface TypingStore {
  /** The typists who may write to the room and have sent no message since their signal, in the given order. */
  keepTyping(roomId: string, typists: readonly Typist[]): Promise<Typist[]>;
}

/** The users who are typing in a room, in the order in which they began. */
export interface TypingState {
  readonly roomId: string;
  readonly userIds: readonly number[];
}
