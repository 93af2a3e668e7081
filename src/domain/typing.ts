/** A typing signal lapses after this long; who goes on typing repeats it sooner. */
export const typingExpiresInMs = 6_000;

/** The signals of one user in one room are accepted at most once in this time; the newest of the others counts. */
export const typingGapMs = 1_000;

/** Somebody whose newest signal says that they type, and when they gave it, by `performance.now()`. */
export interface Typist {
  readonly userId: number;
  readonly saidAt: number;
  /** Where the room's log stood when it was seen that they may say so; null where that was not looked at anew. */
  readonly seq: number | null;
}

export interface TypingStore {
  /** Those who may write to the room now and have sent nothing to it since their signal, in their order. */
  keepTyping(roomId: string, typists: readonly Typist[]): Promise<Typist[]>;
}

/** Who types in a room, those first who began first. */
export interface TypingState {
  readonly roomId: string;
  readonly userIds: readonly number[];
}
