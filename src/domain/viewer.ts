/** How far the clock that dated a token may be ahead of ours or behind it. */
export const clockLeewayMs = 30_000;

/** The authenticated user, as a verified token says. */
export interface Viewer {
  readonly userId: number;
  /** Absent where the platform's token does not name its user. */
  readonly name: string | undefined;
  readonly issuedAt: Date;
  /** From here on the token is worth nothing: sockets and streams that it opened end. */
  readonly expiresAt: Date;
}

/** Who looks at something: a user, who sees what they are a member of, or with null the platform, which sees every room. */
export interface Onlooker {
  readonly userId: number | null;
}

export const platform: Onlooker = { userId: null };

/** The user on whose behalf a backend of the platform asks. It vouches for them: there is no token that could expire. */
export const viewerOf = (userId: number): Viewer => ({
  userId,
  name: undefined,
  issuedAt: new Date(),
  expiresAt: new Date(8.64e15),
});
