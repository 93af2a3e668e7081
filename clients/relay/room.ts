import {
  createOperationDescriptor,
  type Disposable,
  fetchQuery,
  getFragment,
  getRefetchMetadata,
  getRequest,
  graphql,
  type IEnvironment,
  type RecordProxy,
  type RecordSourceSelectorProxy,
  requestSubscription,
} from 'relay-runtime';
import type { roomEventsSubscription } from './__generated__/roomEventsSubscription.graphql.js';
import type { roomOlderQuery } from './__generated__/roomOlderQuery.graphql.js';
import type { roomQuery } from './__generated__/roomQuery.graphql.js';
import type { roomStateQuery } from './__generated__/roomStateQuery.graphql.js';
import { codeOf, pauseMsOf } from './environment.js';
import { addMessage } from './messages.js';

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
      viewerCanSend
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
    attachments {
      id
      status
      kind
      name
      byteSize
      url
      thumbnailUrl
      width
      height
      thumbHash
    }
    viewerCanEdit
    viewerCanDelete
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

/** What no event brings, or none replays. */
const stateDocument = graphql`
  query roomStateQuery($roomId: ID!) {
    room(id: $roomId) {
      id
      title
      unreadCount
      memberCount
      viewerMember {
        id
        lastReadSeq
        isAdmin
      }
      members {
        id
        lastReadSeq
      }
    }
  }
`;

/**
 * Keeps a room in the store, and keeps it current: reads its newest page, and applies what happens from there. Each time that
 * events are live (again), it also reads the read marks, the title and the counts. Begins again after a failure that is
 * temporary. Show it with `roomDocument` and `messagesFragment`; a view may query them again meanwhile.
 * @param onEnd - called if the viewer is no member any more, or a bug must be corrected; with the code of the refusal
 * @returns how to stop
 */
export function watchRoom(environment: IEnvironment, givenRoomId: string, onEnd: (code: string) => void): () => void {
  // As the server returns it.
  const roomId = givenRoomId.toLowerCase();
  const operation = createOperationDescriptor(getRequest(roomDocument), { roomId });
  const retained = environment.retain(operation);
  /** That of the newest event, or of the page before the first; undefined while the room is read. */
  let position: Position | undefined;
  let events: Disposable | undefined;
  let isStopped = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let marks = 0;

  /** The newest page takes the place of the list: between it and what was there, messages might be missing. */
  const begin = async () => {
    const data = await fetchQuery<roomQuery>(environment, roomDocument, { roomId }).toPromise();
    if (isStopped) return;
    if (data?.room == null) onEnd('NOT_FOUND');
    else listen(data.room);
  };
  const listen = ({ seq, epoch }: Position) => {
    events?.dispose();
    position = { seq, epoch };
    events = requestSubscription<roomEventsSubscription>(environment, {
      subscription: eventsDocument,
      variables: { roomId, afterSeq: seq, epoch },
      updater: (store) => {
        position = applyEvent(store, roomId);
      },
      onNext: (event) => {
        failures = 0;
        const kind = event?.roomEvents.__typename;
        // What the store has may not be part of the log any more.
        if (kind === 'RoomResync') restart();
        if (kind === 'RoomReady') void readState();
        if (kind === 'MembersRead') marks += 1;
      },
      onError: fail,
    });
  };
  /** An answer that a view has asked for may be older than an event that came before it. The replay brings what it lacks. */
  const watched = environment.subscribe(environment.lookup(operation.fragment), ({ data }) => {
    const { room } = data as Partial<roomQuery['response']>;
    if (room == null || position === undefined) return;
    if (room.epoch !== position.epoch) restart();
    else if (room.seq < position.seq) listen(room);
  });
  const readState = async () => {
    const before = marks;
    try {
      await fetchQuery<roomStateQuery>(environment, stateDocument, { roomId }).toPromise();
      // An event that came meanwhile may be newer.
      if (marks !== before && !isStopped) void readState();
    } catch {
      // Its events go on, and the next break brings the next attempt.
    }
  };
  const restart = () => {
    position = undefined;
    events?.dispose();
    begin().catch(fail);
  };
  const fail = (error: unknown) => {
    if (isStopped) return;
    position = undefined;
    const pauseMs = pauseMsOf(error, failures);
    failures += 1;
    clearTimeout(timer);
    if (pauseMs === undefined) onEnd(codeOf(error));
    else timer = setTimeout(restart, pauseMs);
  };
  restart();
  return () => {
    isStopped = true;
    clearTimeout(timer);
    watched.dispose();
    events?.dispose();
    retained.dispose();
  };
}

interface Position {
  readonly seq: number;
  readonly epoch: string;
}

/**
 * Reads the page before the oldest message that is shown. `usePaginationFragment` does the same.
 * @param before - `pageInfo.startCursor` of the list
 */
export async function loadOlder(environment: IEnvironment, roomId: string, before: string): Promise<void> {
  const { refetchableRequest } = getRefetchMetadata(getFragment(messagesFragment), 'loadOlder');
  await fetchQuery<roomOlderQuery>(environment, refetchableRequest, { id: roomId, before }).toPromise();
}

/** What an event brings of messages and members is in the store already; the list of messages is not. */
function applyEvent(store: RecordSourceSelectorProxy<roomEventsSubscription['response']>, roomId: string): Position {
  const event: RecordProxy = store.getRootField('roomEvents');
  const [seq, epoch] = [Number(event.getValue('seq')), String(event.getValue('epoch'))];
  store.get(roomId)?.setValue(seq, 'seq').setValue(epoch, 'epoch');
  if (event.getType() === 'MessageAdded') addMessage(store, roomId, event.getLinkedRecord('message'));
  return { seq, epoch };
}
