/** Everything that `extensions.code` of an error can say; docs/errors.md lists which of them a client may retry. */
export type ErrorCode =
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'BAD_USER_INPUT'
  | 'CONFLICT'
  | 'RATE_LIMITED'
  | 'UNAVAILABLE'
  | 'INTERNAL';

/** A refusal that the caller may read. Anything else that is thrown is a bug and is masked at the edge. */
export class ChatError extends Error {
  override readonly name: string = 'ChatError';
  /** How long to wait before trying again; with RATE_LIMITED only. */
  readonly retryAfterMs: number | undefined;

  constructor(
    readonly code: ErrorCode,
    message: string,
    options: { retryAfterMs?: number; cause?: unknown } = {},
  ) {
    // Nobody reads where a refusal was thrown, and to look that up would cost more than all else: refusals come in floods.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message, { cause: options.cause });
    Error.stackTraceLimit = stackTraceLimit;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** A subscriber that cannot keep up: its connection is cut, and it resumes with afterSeq. */
export class SlowConsumerError extends ChatError {
  override readonly name = 'SlowConsumerError';
  constructor() {
    super('UNAVAILABLE', 'Too far behind: subscribe again with afterSeq');
  }
}
