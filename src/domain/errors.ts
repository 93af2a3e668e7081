/** Every value of `extensions.code`, and whether the client may retry: the table in docs/errors.md. */
export const errorCodes = {
  UNAUTHENTICATED: {
    meaning: 'the token is bad or has expired, or there is none where one is needed',
    retry: 'yes, with a fresh token',
  },
  FORBIDDEN: {
    meaning: 'the viewer may not do this, is not a member any more, or the origin is not allowed',
    retry: 'no',
  },
  NOT_FOUND: { meaning: 'it does not exist, or the viewer is not a member: the two look the same', retry: 'no' },
  BAD_USER_INPUT: {
    meaning: 'the document, an argument or the request is wrong or beyond a limit; the message says what',
    retry: 'no, change it first',
  },
  DOCUMENT_NOT_REGISTERED: {
    meaning: 'no document is registered under the id, or the server executes registered documents only',
    retry: 'with the text, where the message is `PersistedQueryNotFound`; else no',
  },
  CONFLICT: {
    meaning:
      'this message id was used for something else, or the message to edit has been deleted, or edited since the editedAt that was given',
    retry: 'no',
  },
  RATE_LIMITED: {
    meaning:
      'too many sends, changes, connections, operations or unread answers, or messages are delivered late at the moment; `retryAfterMs` is the wait',
    retry: 'yes, after `retryAfterMs`',
  },
  UNAVAILABLE: {
    meaning: 'PostgreSQL, the key server or the storage of files cannot be reached, or the server restarts',
    retry: 'yes, with growing pauses and the same message id',
  },
  INTERNAL: {
    meaning: 'a bug of the server; `correlationId` finds it in the log',
    retry: 'once, with the same message id',
  },
} as const satisfies Record<string, { readonly meaning: string; readonly retry: string }>;

export type ErrorCode = keyof typeof errorCodes;

/** An error that the client may see. Any other error is a bug, and its message is masked. */
export class ChatError extends Error {
  override readonly name: string = 'ChatError';
  /** How long to wait before a retry; for RATE_LIMITED only. */
  readonly retryAfterMs: number | undefined;

  constructor(
    readonly code: ErrorCode,
    message: string,
    options: { retryAfterMs?: number; cause?: unknown } = {},
  ) {
    // No stack trace: nobody reads it, and collecting it is the largest cost when many requests are refused.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message, { cause: options.cause });
    Error.stackTraceLimit = stackTraceLimit;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Thrown to a subscriber that cannot keep up: its connection is closed, and it resumes with afterSeq. */
export class SlowConsumerError extends ChatError {
  override readonly name = 'SlowConsumerError';
  constructor() {
    super('UNAVAILABLE', 'Too far behind: subscribe again with afterSeq');
  }
}
