/** A typing signal lapses after this long; who goes on typing repeats it sooner. */
export const typingExpiresInMs = 6_000;
