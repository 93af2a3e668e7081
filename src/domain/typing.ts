/** A typing signal lapses after this long; who goes on typing repeats it sooner. */
export const typingExpiresInMs = 6_000;

/** Somebody whose newest signal says that they type, and how old it is. */
export interface Typist {
  readonly userId: number;
  readonly ageMs: number;
}

export interface TypingStore {
  /** Those who are members of the room now and have sent nothing to it since their signal, in their order. */
  keepTyping(roomId: string, typists: readonly Typist[]): Promise<Typist[]>;
}

/** Who types in a room, those first who began first. */
export interface TypingState {
  readonly roomId: string;
  readonly userIds: readonly number[];
}
