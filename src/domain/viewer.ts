/** How far the clock of the token's issuer may be ahead of ours or behind it. */
export const clockLeewayMs = 30_000;

/** The authenticated user, from a verified token. */
export interface Viewer {
  readonly userId: number;
  /** Undefined if the token has no valid name. */
  readonly name: string | undefined;
  /** Undefined if the token has no valid picture. */
  readonly avatarUrl: string | undefined;
  readonly issuedAt: Date;
  /** When the token expires: the sockets and streams that it opened end then. */
  readonly expiresAt: Date;
}

/** What the newest known token of a user says about them. */
export type KnownToken = Pick<Viewer, 'name' | 'avatarUrl' | 'issuedAt'>;

/** A user, who sees the rooms that they are a member of, or with null the platform, which sees every room. */
export interface Reader {
  readonly userId: number | null;
}

export const platform: Reader = { userId: null };

/** The viewer for a request of a backend of the platform. The backend vouches for the user: there is no token to expire. */
export const viewerOf = (userId: number): Viewer => ({
  userId,
  name: undefined,
  avatarUrl: undefined,
  issuedAt: new Date(),
  expiresAt: new Date(8.64e15),
});
