/** A typing signal lapses after this long; who goes on typing repeats it sooner. */
export const typingExpiresInMs = 6_000;

/** Who types in a room, those first who began first. */
export interface TypingState {
  readonly roomId: string;
  readonly userIds: readonly number[];
}
