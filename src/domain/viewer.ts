/** Who is asking, as a verified token says. */
export interface Viewer {
  readonly userId: number;
  /** Absent where the platform's token does not name its user. */
  readonly name: string | undefined;
  readonly issuedAt: Date;
  /** From here on the token is worth nothing: sockets and streams that it opened end. */
  readonly expiresAt: Date;
}
