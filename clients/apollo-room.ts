import { type ApolloCache, type ApolloClient, type DocumentNode, gql, type Reference } from '@apollo/client';
import { type History, pendingSeq } from './apollo-cache.js';
import { type Attachment, entitiesOf, partsOf, typeOf } from './attachments.js';
import { growingPauseMs } from './retry.js';

/** The operations of `clients/operations`, as your code generation or loader gives them. */
export interface Documents {
  readonly RoomPage: DocumentNode;
  readonly RoomEvents: DocumentNode;
  readonly SendMessage: DocumentNode;
}

interface RoomPage {
  readonly room: { readonly seq: number; readonly epoch: string } | null;
}

interface RoomEvent {
  readonly __typename: string;
  readonly seq: number;
  readonly epoch: string;
  readonly message?: { readonly __typename?: string; readonly id: string };
}

/** The newest messages of an open room. */
export const pageSize = 50;
/** Asking again may succeed. */
const temporary: ReadonlySet<string> = new Set(['NETWORK', 'UNAVAILABLE', 'RATE_LIMITED', 'INTERNAL']);

/**
 * Keeps a room in the store current: reads its newest page, and applies what happens from there. Show it with
 * `client.watchQuery({ query: RoomPage, variables: { roomId, last: pageSize } })`, and read older pages with `fetchMore`.
 * @param onEnd - called if the viewer is no member any more, or a bug must be corrected; with the code of the refusal
 * @param onReady - called each time that all events which were missed are in the store: at the beginning and after a break. Read
 * marks are not among them: read the members again
 * @returns how to stop
 */
export function watchRoom(
  client: ApolloClient,
  { RoomPage, RoomEvents }: Pick<Documents, 'RoomPage' | 'RoomEvents'>,
  givenRoomId: string,
  onEnd: (code: string) => void,
  onReady: () => void = () => undefined,
): () => void {
  const { cache } = client;
  // As the server returns it.
  const roomId = givenRoomId.toLowerCase();
  const room = cache.identify({ __typename: 'Room', id: roomId }) ?? '';
  let unsubscribe = () => {};
  let isStopped = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;

  const begin = async () => {
    const variables = { roomId, last: pageSize };
    const { data } = await client.query<RoomPage>({ query: RoomPage, variables, fetchPolicy: 'network-only' });
    if (isStopped) return;
    if (data?.room == null) return end('NOT_FOUND');
    const { seq: afterSeq, epoch } = data.room;
    const events = client.subscribe<{ roomEvents: RoomEvent }>({
      query: RoomEvents,
      variables: { roomId, afterSeq, epoch, reads: 'BATCHED' },
    });
    // A refusal may come twice.
    let isOver = false;
    const failOnce = (error: unknown) => {
      if (!isOver) fail(error);
      isOver = true;
    };
    const subscription = events.subscribe({
      next: ({ data: event, error }) => {
        if (error !== undefined) failOnce(error);
        else if (event != null && !isOver) apply(event.roomEvents);
      },
      error: failOnce,
    });
    unsubscribe = () => subscription.unsubscribe();
    if (isOver) unsubscribe();
  };
  /** What an event brings of messages and members is in the store already; the list of messages is not. */
  const apply = ({ __typename, seq, epoch, message }: RoomEvent) => {
    failures = 0;
    if (__typename === 'RoomResync') return restart();
    if (__typename === 'MemberRead' || __typename === 'MembersRead') return;
    cache.modify({ id: room, fields: { seq: () => seq, epoch: () => epoch } });
    if (__typename === 'MessageAdded' && message !== undefined) addMessage(cache, roomId, message);
    if (__typename === 'RoomReady') onReady();
  };
  /** What the store has may not be part of the log any more. */
  const restart = () => {
    unsubscribe();
    cache.evict({ id: room, fieldName: 'messages' });
    cache.gc();
    retry();
  };
  const retry = () => {
    begin().catch(fail);
  };
  const fail = (error: unknown) => {
    if (isStopped) return;
    unsubscribe();
    const pauseMs = pauseMsOf(error, failures);
    failures += 1;
    clearTimeout(timer);
    if (pauseMs === undefined) end(codeOf(error));
    else timer = setTimeout(retry, pauseMs);
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
  retry();
  return stop;
}

/**
 * Sends a message that is shown at once, and once, whether its answer or its event comes first. Those of a room are sent in the
 * order of the calls. If no answer comes or the server is busy, it is repeated (see `sendInOrder`) and stays shown meanwhile. You
 * may call this again with the same `id`.
 * @throws what Apollo Client throws, if it is refused, or was repeated in vain: it is not shown any more. `codeOf` has the code
 */
export async function sendMessage(
  client: ApolloClient,
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
  await client.mutate<{ sendMessage: Record<string, unknown> & { message: Record<string, unknown> & { id: string } } }>(
    {
      mutation: SendMessage,
      variables: { input: { id, roomId, ...partsOf(content, attachments) } },
      context: { inOrderOf: roomId },
      optimisticResponse: {
        sendMessage: {
          __typename: 'SendMessagePayload',
          duplicate: false,
          message: {
            __typename: 'Message',
            id,
            seq: pendingSeq,
            cursor: '',
            type: typeOf(attachments),
            content,
            senderName: sender.name,
            sender: { __typename: 'User', ...sender },
            createdAt: new Date().toISOString(),
            editedAt: null,
            deletedAt: null,
            attachments: entitiesOf(attachments),
          },
        },
      },
      update: (cache, { data }) => {
        if (data != null) addSent(cache, roomId, data.sendMessage.message.id);
      },
    },
  );
}

/** Whether a message is shown before the server has given it its place. */
export const isPending = ({ seq }: { readonly seq: number }): boolean => seq === pendingSeq;

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
  interface Refusal {
    readonly extensions?: Readonly<Record<string, unknown>>;
  }
  // The answer has a list of them, and `SignedOut` is one.
  const { errors: [refusal] = [error] } = (error ?? {}) as { readonly errors?: readonly unknown[] };
  return (refusal as Refusal | undefined)?.extensions ?? {};
}

function addMessage(cache: ApolloCache, roomId: string, message: { readonly id: string }): void {
  cache.modify<{ messages: History; lastMessage: Reference | null }>({
    id: cache.identify({ __typename: 'Room', id: roomId }) ?? '',
    fields: {
      messages: (history, { toReference, readField }) => {
        const node = toReference({ __typename: 'Message', id: message.id });
        if (node === undefined || !('edges' in history)) return history;
        const seqOf = (edge: { readonly node: Reference }) => readField<number>('seq', edge.node) ?? 0;
        const others = history.edges.filter((edge) => edge.node.__ref !== node.__ref);
        const edges = [...others, { __typename: 'MessageEdge', node }].sort((a, b) => seqOf(a) - seqOf(b));
        return { ...history, edges };
      },
    },
  });
}

const sentMessages = gql`
  fragment SentMessages on Sent {
    id
    messages {
      id
    }
  }
`;

/** Before the answer and again with it. */
function addSent(cache: ApolloCache, roomId: string, id: string): void {
  const sent = { __typename: 'Sent', id: roomId };
  const target = { id: cache.identify(sent) ?? '', fragment: sentMessages };
  cache.updateFragment<{ messages: readonly { readonly id: string }[] }>(target, (known) => {
    const others = known?.messages.filter((message) => message.id !== id) ?? [];
    return { ...sent, messages: [...others, { __typename: 'Message', id }] };
  });
}
