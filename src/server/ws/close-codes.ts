/** Close codes of this server; graphql-transport-ws and WebSocket have more. */
export const closeCodes = {
  restart: 1012,
  tryAgain: 1013,
  badRequest: 4400,
  badToken: 4403,
  initTimeout: 4408,
  tooManySockets: 4429,
  slowConsumer: 4490,
} as const;

interface CloseMeaning {
  readonly codes: readonly number[];
  readonly meaning: string;
  readonly action: string;
}

/** Every code that a client can see: the table in docs/clients.md. @public */
export const closeMeanings: readonly CloseMeaning[] = [
  { codes: [closeCodes.restart], meaning: 'the server stops or restarts', action: 'connect again, resume' },
  {
    codes: [closeCodes.tryAgain],
    meaning: 'tokens cannot be verified at the moment (the key server or the database is away)',
    action: 'connect again after a while',
  },
  {
    codes: [closeCodes.badToken],
    meaning: 'no token, a bad one, or it has expired; the reason says which',
    action: 'connect again with a fresh token',
  },
  {
    codes: [closeCodes.slowConsumer],
    meaning:
      'slow consumer: no progress on one send for 15 s (`SEND_TIMEOUT_MS`), or a subscription more than 10,000 entries behind (`MAX_LAG`)',
    action: 'connect again, resume',
  },
  {
    codes: [closeCodes.initTimeout],
    meaning: 'no `connection_init` within 10 s, or sooner while 1,000 others wait',
    action: 'connect again',
  },
  {
    codes: [1006],
    meaning: 'no close frame: the network or the process is gone, or the client left a ping (every 12 s) unanswered',
    action: 'connect again, resume',
  },
  {
    codes: [closeCodes.tooManySockets],
    meaning:
      'more than 10 connections of this user on this instance (`MAX_SOCKETS_PER_USER`); or a second `connection_init` on one socket',
    action: 'close another one first; graphql-ws does not retry this',
  },
  {
    codes: [4005],
    meaning: 'sent by graphql-ws itself: the function that gives `connectionParams` (the token) has thrown',
    action: 'catch it and terminate the socket, as `resume.ts` does; graphql-ws does not retry this',
  },
  {
    codes: [closeCodes.badRequest, 4401, 4406, 4409],
    meaning:
      'the protocol was broken: a bad message or a flood of pings (4400), an operation too early (4401), no subprotocol offered (4406), an id in use or too long (4409)',
    action: 'do not retry, correct the client',
  },
  {
    codes: [1009, 1008],
    meaning: 'a message larger than 256 KB (`MAX_BODY_BYTES`), or (1008) in more than 1,024 fragments',
    action: 'do not retry, send less',
  },
];
