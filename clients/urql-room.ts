import { type Client, CombinedError, createRequest, type DocumentInput, type ErrorLike } from '@urql/core';
import { type Attachment, partsOf } from './attachments.js';
import { growingPauseMs, sendInOrder } from './retry.js';
import { firstPendingSeq } from './urql-cache.js';

/** The operations of `clients/operations`, as your code generation or loader gives them. */
export interface Documents {
  readonly RoomPage: DocumentInput;
  readonly RoomEvents: DocumentInput;
  readonly SendMessage: DocumentInput;
}

interface RoomPage {
  readonly room: { readonly seq: number; readonly epoch: string } | null;
}

/** The newest messages of an open room. */
export const pageSize = 50;
/** Asking again may succeed. */
const temporary: ReadonlySet<string> = new Set(['NETWORK', 'UNAVAILABLE', 'RATE_LIMITED', 'INTERNAL']);

/**
 * Keeps a room in the store current: reads its newest page, and applies what happens from there. Show it with
 * `client.query(RoomPage, { roomId, last: pageSize }, { requestPolicy: 'cache-only' })`; the page before is read by the same
 * query with `before` and 'network-only'.
 * @param onEnd - called if the viewer is no member any more, or a bug must be corrected; with the code of the refusal
 * @param onReady - called each time that all events which were missed are in the store: at the beginning and after a break. Read
 * marks are not among them: read the members again
 * @returns how to stop
 */
export function watchRoom(
  client: Client,
  { RoomPage, RoomEvents }: Pick<Documents, 'RoomPage' | 'RoomEvents'>,
  givenRoomId: string,
  onEnd: (code: string) => void,
  onReady: () => void = () => undefined,
): () => void {
  // As the server returns it.
  const roomId = givenRoomId.toLowerCase();
  let unsubscribe = () => {};
  let isStopped = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;

  const begin = async (isAnew: boolean) => {
    // No field takes `isAnew`, so it is not sent: it is for `addPage`. It also makes this another operation than that of a view,
    // whose results from the store would be taken for the answer.
    const variables = { roomId, last: pageSize, isAnew };
    const { data, error } = await client.query<RoomPage>(RoomPage, variables, { requestPolicy: 'network-only' });
    if (isStopped) return;
    if (error !== undefined) return fail(error, isAnew);
    if (data?.room == null) return end('NOT_FOUND');
    const { seq: afterSeq, epoch } = data.room;
    const events = client.subscription<{ roomEvents: { readonly __typename: string } }>(RoomEvents, {
      ...{ roomId, afterSeq, epoch, reads: 'BATCHED' },
    });
    let isOver = false;
    ({ unsubscribe } = events.subscribe(({ data: event, error: refusal }) => {
      if (isOver || isStopped) return;
      // A refusal comes with the event before it.
      isOver = refusal !== undefined || event?.roomEvents.__typename === 'RoomResync';
      if (refusal !== undefined) return fail(refusal, false);
      failures = 0;
      if (isOver) {
        unsubscribe();
        void begin(true);
      } else if (event?.roomEvents.__typename === 'RoomReady') onReady();
    }));
    if (isOver || isStopped) unsubscribe();
  };
  const fail = (error: CombinedError, isAnew: boolean) => {
    if (isStopped) return;
    unsubscribe();
    const pauseMs = pauseMsOf(error, failures);
    failures += 1;
    clearTimeout(timer);
    if (pauseMs === undefined) end(codeOf(error));
    else timer = setTimeout(begin, pauseMs, isAnew);
  };
  const stop = () => {
    isStopped = true;
    clearTimeout(timer);
    unsubscribe();
  };
  const end = (code: string) => {
    if (isStopped) return;
    stop();
    onEnd(code);
  };
  void begin(false);
  return stop;
}

/**
 * Sends a message that is shown at once, and once, whether its answer or its event comes first. Those of a room are sent in the
 * order of the calls. If no answer comes or the server is busy, it is repeated (see `sendInOrder`) and stays shown meanwhile. You
 * may call this again with the same `id`.
 * @throws {CombinedError} if it is refused, or was repeated in vain: it is not shown any more. `codeOf` has the code
 */
export async function sendMessage(
  client: Client,
  { SendMessage }: Pick<Documents, 'SendMessage'>,
  message: {
    readonly id: string;
    readonly roomId: string;
    /** With attachments, a caption or ''. */
    readonly content: string;
    readonly sender: { readonly id: string; readonly name: string };
    /** Files, as `CompleteUpload` has returned them. */
    readonly attachments?: readonly Attachment[];
  },
): Promise<void> {
  const { content, sender, attachments = [] } = message;
  // As the server returns them: otherwise the answer and the event would be of another message.
  const [id, roomId] = [message.id.toLowerCase(), message.roomId.toLowerCase()];
  const input = { id, roomId, ...partsOf(content, attachments) };
  // No field takes `sender` and `attachments`, so they are not sent: they are for `expectSent`.
  const request = createRequest(SendMessage, { input, sender, attachments });
  const { context } = client.createRequestOperation('mutation', request);
  // `toPromise` sends it now, and `await` alone would do so only later.
  const send = repeated(client, roomId, context.fetch ?? fetch);
  const { error } = await client.executeMutation(request, { fetch: send }).toPromise();
  if (error !== undefined) throw error;
}

/** Sends in order and repeats below the store, which would take the message back between two attempts. */
const repeated =
  (client: Client, roomId: string, send: typeof fetch): typeof fetch =>
  async (input, init) => {
    let refused: Response | undefined;
    const attempt = async () => {
      refused = undefined;
      const answer = await send(input, init);
      const text = await answer.text();
      const { errors } = JSON.parse(text) as { readonly errors?: readonly ErrorLike[] };
      refused = new Response(text, answer);
      if (errors !== undefined) throw new CombinedError({ graphQLErrors: [...errors] });
      return refused;
    };
    const sent = sendInOrder(client, roomId, attempt, codeOf, retryAfterMsOf);
    return sent.catch((error: unknown) => refused ?? Promise.reject(error));
  };

/** Whether a message is shown before the server has given it its place. */
export const isPending = ({ seq }: { readonly seq: number }): boolean => seq >= firstPendingSeq;

/** The code of a refusal, or NETWORK if there was no answer. */
export const codeOf = (error: unknown): string => String(extensionsOf(error)['code'] ?? 'NETWORK');

/** How long the server asks to wait before the next attempt. */
export const retryAfterMsOf = (error: unknown): number | undefined => {
  const { retryAfterMs } = extensionsOf(error);
  return typeof retryAfterMs === 'number' ? retryAfterMs : undefined;
};

/**
 * How long to wait before a query or subscription begins again, or undefined if that would change nothing.
 * @param failures - how many there were in a row before this one
 */
export const pauseMsOf = (error: unknown, failures: number): number | undefined =>
  temporary.has(codeOf(error)) ? (retryAfterMsOf(error) ?? growingPauseMs(failures)) : undefined;

function extensionsOf(error: unknown): Readonly<Record<string, unknown>> {
  // The answer has a list of them, and `SignedOut` is one.
  const refusal = error instanceof CombinedError ? (error.graphQLErrors[0] ?? error.networkError) : error;
  return (refusal as { readonly extensions?: Readonly<Record<string, unknown>> } | undefined)?.extensions ?? {};
}
