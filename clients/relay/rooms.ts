import {
  ConnectionHandler,
  createOperationDescriptor,
  type Disposable,
  fetchQuery,
  getRequest,
  graphql,
  type IEnvironment,
  type RecordSourceSelectorProxy,
  ROOT_ID,
  requestSubscription,
} from 'relay-runtime';
import type { roomsInboxSubscription } from './__generated__/roomsInboxSubscription.graphql.js';
import type { roomsQuery } from './__generated__/roomsQuery.graphql.js';
import { codeOf, pauseMsOf } from './environment.js';

/** The list of the viewer's rooms, newest activity first. */
export const roomsDocument = graphql`
  query roomsQuery {
    ...rooms_list
  }
`;

/** In React, `usePaginationFragment` reads more of it. */
export const roomsFragment = graphql`
  fragment rooms_list on Query
  @refetchable(queryName: "roomsMoreQuery")
  @argumentDefinitions(first: { type: "Int", defaultValue: 20 }, after: { type: "String" }) {
    rooms(first: $first, after: $after) @connection(key: "list_rooms") {
      edges {
        node {
          id
          ...rooms_room
        }
      }
    }
  }
`;

/** A room in the list. */
export const listedRoomFragment = graphql`
  fragment rooms_room on Room {
    id
    type
    title
    unreadCount
    memberCount
    updatedAt
    lastMessage {
      id
      type
      content
      senderName
      createdAt
    }
  }
`;

/** A change may come before the answer that lacks it: then the list is read again, this much later. */
const rereadMs = 1_000;

/**
 * Keeps the list of rooms, and with it `unreadCount` and `title` of every room, current in the store. Begins again after a failure
 * that is temporary.
 * @param onEnd - called once if it has ended for good, with the code of the refusal
 * @returns how to stop
 */
export function watchRooms(environment: IEnvironment, onEnd: (code: string) => void): () => void {
  const retained = environment.retain(createOperationDescriptor(getRequest(roomsDocument), {}));
  let inbox: Disposable | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isStopped = false;
  let failures = 0;
  let changes = 0;

  const begin = () => {
    inbox = requestSubscription<roomsInboxSubscription>(environment, {
      subscription: graphql`
        subscription roomsInboxSubscription {
          inboxEvents {
            kind
            roomId
            room {
              ...rooms_room
            }
          }
        }
      `,
      variables: {},
      updater: applyInboxEvent,
      onNext: (event) => {
        if (event?.inboxEvents.kind === 'READY') readAll();
        else changes += 1;
      },
      onError: fail,
    });
  };
  const read = async () => {
    const before = changes;
    await fetchQuery<roomsQuery>(environment, roomsDocument, {}).toPromise();
    failures = 0;
    if (changes !== before && !isStopped) timer = setTimeout(readAll, rereadMs);
  };
  const readAll = () => {
    clearTimeout(timer);
    read().catch(fail);
  };
  const fail = (error: unknown) => {
    if (isStopped) return;
    inbox?.dispose();
    clearTimeout(timer);
    const pauseMs = pauseMsOf(error, failures);
    failures += 1;
    if (pauseMs === undefined) onEnd(codeOf(error));
    else timer = setTimeout(begin, pauseMs);
  };
  begin();
  return () => {
    isStopped = true;
    clearTimeout(timer);
    inbox?.dispose();
    retained.dispose();
  };
}

/** Puts a room that has changed at the top of the list, and takes out one that the viewer has left. */
function applyInboxEvent(store: RecordSourceSelectorProxy<roomsInboxSubscription['response']>): void {
  const event = store.getRootField('inboxEvents');
  const root = store.get(ROOT_ID);
  const list = root == null ? undefined : ConnectionHandler.getConnection(root, 'list_rooms');
  const roomId = event.getValue('roomId');
  if (list == null || roomId == null) return;
  const room = event.getLinkedRecord('room');
  const edges = list.getLinkedRecords('edges') ?? [];
  const others = edges.filter((edge) => edge.getLinkedRecord('node')?.getDataID() !== roomId);
  if (room == null) return void list.setLinkedRecords(others, 'edges');
  const edge = ConnectionHandler.createEdge(store, list, room, 'RoomEdge');
  const timeOf = (it: typeof edge) => String(it.getLinkedRecord('node')?.getValue('updatedAt'));
  const sorted = [edge, ...others].sort((a, b) => timeOf(b).localeCompare(timeOf(a)));
  list.setLinkedRecords(sorted, 'edges');
}
