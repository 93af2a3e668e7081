import {
  applyOptimisticMutation,
  ConnectionHandler,
  commitMutation,
  createOperationDescriptor,
  type Disposable,
  fetchQuery,
  getFragment,
  getRefetchMetadata,
  getRequest,
  graphql,
  type IEnvironment,
  type RecordProxy,
  type RecordSourceProxy,
  type RecordSourceSelectorProxy,
  requestSubscription,
} from 'relay-runtime';
import { withRetries } from '../retry.js';
import type { roomEventsSubscription } from './__generated__/roomEventsSubscription.graphql.js';
import type { roomOlderQuery } from './__generated__/roomOlderQuery.graphql.js';
import type { roomQuery } from './__generated__/roomQuery.graphql.js';
import type { roomSendMutation } from './__generated__/roomSendMutation.graphql.js';
import { codeOf, retryAfterMsOf } from './environment.js';

/** What a view shows of an open room. */
export const roomDocument = graphql`
  query roomQuery($roomId: ID!) {
    room(id: $roomId) {
      id
      type
      title
      seq
      epoch
      unreadCount
      memberCount
      typing {
        id
        name
      }
      viewerMember {
        id
        lastReadSeq
        isAdmin
      }
      ...room_messages
    }
  }
`;

/** Its history, the oldest message first. In React, `usePaginationFragment` reads older pages. */
export const messagesFragment = graphql`
  fragment room_messages on Room
  @refetchable(queryName: "roomOlderQuery")
  @argumentDefinitions(last: { type: "Int", defaultValue: 50 }, before: { type: "String" }) {
    messages(last: $last, before: $before) @connection(key: "room_messages") {
      edges {
        node {
          id
          ...room_message
        }
      }
      pageInfo {
        startCursor
        hasPreviousPage
      }
    }
  }
`;

/** A message, wherever it comes from. */
export const messageFragment = graphql`
  fragment room_message on Message {
    id
    seq
    cursor
    type
    content
    senderName
    sender {
      id
      name
    }
    createdAt
    editedAt
    deletedAt
  }
`;

const eventsDocument = graphql`
  subscription roomEventsSubscription($roomId: ID!, $afterSeq: Int, $epoch: ID) {
    roomEvents(roomId: $roomId, afterSeq: $afterSeq, epoch: $epoch, reads: BATCHED) {
      __typename
      seq
      epoch
      ... on MessageAdded {
        message {
          ...room_message
        }
      }
      ... on MessageUpdated {
        message {
          ...room_message
        }
      }
      ... on MessageDeleted {
        message {
          ...room_message
        }
      }
      ... on MembersRead {
        members {
          id
          user {
            id
          }
          lastReadSeq
        }
      }
    }
  }
`;

const sendDocument = graphql`
  mutation roomSendMutation($input: SendMessageInput!) @raw_response_type {
    sendMessage(input: $input) {
      duplicate
      message {
        ...room_message
      }
    }
  }
`;

const retryMs = 1_000;
/** Asking again may succeed. */
const temporary: ReadonlySet<string> = new Set(['NETWORK', 'UNAVAILABLE', 'RATE_LIMITED', 'INTERNAL']);

/**
 * Keeps a room in the store, and keeps it current: reads its newest page, and applies what happens from there. Show it with
 * `roomDocument` and `messagesFragment`.
 * @param onEnd - called if the viewer is no member any more, or a bug must be corrected; with the code of the refusal
 * @returns how to stop
 */
export function watchRoom(environment: IEnvironment, roomId: string, onEnd: (code: string) => void): () => void {
  const retained = environment.retain(createOperationDescriptor(getRequest(roomDocument), { roomId }));
  let events: Disposable | undefined;
  let isStopped = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  /** The newest page takes the place of the list: between it and what was there, messages might be missing. */
  const begin = async () => {
    const data = await fetchQuery<roomQuery>(environment, roomDocument, { roomId }).toPromise();
    if (isStopped) return;
    if (data?.room == null) return onEnd('NOT_FOUND');
    const { seq: afterSeq, epoch } = data.room;
    events = requestSubscription<roomEventsSubscription>(environment, {
      subscription: eventsDocument,
      variables: { roomId, afterSeq, epoch },
      updater: (store) => applyEvent(store, roomId),
      onNext: (event) => {
        // What the store has may not be part of the log any more.
        if (event?.roomEvents.__typename === 'RoomResync') restart();
      },
      onError: fail,
    });
  };
  const restart = () => {
    events?.dispose();
    begin().catch(fail);
  };
  const fail = (error: unknown) => {
    if (isStopped) return;
    if (temporary.has(codeOf(error))) timer = setTimeout(restart, retryAfterMsOf(error) ?? retryMs);
    else onEnd(codeOf(error));
  };
  restart();
  return () => {
    isStopped = true;
    clearTimeout(timer);
    events?.dispose();
    retained.dispose();
  };
}

/**
 * Reads the page before the oldest message that is shown. `usePaginationFragment` does the same.
 * @param before - `pageInfo.startCursor` of the list
 */
export async function loadOlder(environment: IEnvironment, roomId: string, before: string): Promise<void> {
  const { refetchableRequest } = getRefetchMetadata(getFragment(messagesFragment), 'loadOlder');
  await fetchQuery<roomOlderQuery>(environment, refetchableRequest, { id: roomId, before }).toPromise();
}

/**
 * Sends a message that is shown at once, and once, whether its answer or its event comes first. It stays while it is repeated,
 * with the same id: after NETWORK, UNAVAILABLE and RATE_LIMITED.
 * @throws the last error after five repeats, or at once any other refusal; the message is taken back, and `codeOf` has the code
 */
export async function sendMessage(
  environment: IEnvironment,
  message: {
    readonly id: string;
    readonly roomId: string;
    readonly content: string;
    readonly sender: { readonly id: string; readonly name: string };
  },
): Promise<void> {
  const { id, roomId, content, sender } = message;
  const variables: roomSendMutation['variables'] = { input: { id, roomId, content } };
  const updater = (store: RecordSourceSelectorProxy) =>
    addMessage(store, roomId, store.getRootField('sendMessage')?.getLinkedRecord('message'));
  const optimisticResponse: roomSendMutation['rawResponse'] = {
    sendMessage: {
      duplicate: false,
      message: {
        id,
        // Behind all others until the server has given it its place.
        seq: 2 ** 31 - 1,
        cursor: '',
        type: 'TEXT',
        content,
        senderName: sender.name,
        sender,
        createdAt: new Date().toISOString(),
        editedAt: null,
        deletedAt: null,
      },
    },
  };
  const shown = applyOptimisticMutation(environment, {
    mutation: sendDocument,
    variables,
    optimisticResponse,
    optimisticUpdater: updater,
  });
  const send = () =>
    new Promise<void>((resolve, reject) => {
      const onCompleted = () => resolve();
      commitMutation(environment, { mutation: sendDocument, variables, updater, onCompleted, onError: reject });
    });
  try {
    await withRetries(send, codeOf, retryAfterMsOf);
  } finally {
    shown.dispose();
  }
}

/** What an event brings of messages and members is in the store already; the list of messages is not. */
function applyEvent(store: RecordSourceSelectorProxy<roomEventsSubscription['response']>, roomId: string): void {
  const event: RecordProxy = store.getRootField('roomEvents');
  const room = store.get(roomId);
  room?.setValue(event.getValue('seq'), 'seq');
  room?.setValue(event.getValue('epoch'), 'epoch');
  if (event.getType() === 'MessageAdded') addMessage(store, roomId, event.getLinkedRecord('message'));
}

/** Puts a message into the list in the order of `seq`, once. */
function addMessage(store: RecordSourceProxy, roomId: string, message: RecordProxy | null | undefined): void {
  const room = store.get(roomId);
  const history = room == null ? undefined : ConnectionHandler.getConnection(room, 'room_messages');
  if (history == null || message == null) return;
  const nodeOf = (edge: RecordProxy) => edge.getLinkedRecord('node');
  const seqOf = (edge: RecordProxy) => Number(nodeOf(edge)?.getValue('seq'));
  const edge = ConnectionHandler.createEdge(store, history, message, 'MessageEdge');
  edge.setValue(message.getValue('cursor'), 'cursor');
  const edges = history.getLinkedRecords('edges') ?? [];
  const others = edges.filter((other) => nodeOf(other)?.getDataID() !== message.getDataID());
  history.setLinkedRecords(
    [...others, edge].sort((a, b) => seqOf(a) - seqOf(b)),
    'edges',
  );
}
