import type {
  ConnectionSnapshot,
  Fairway,
  ListedRoom,
  PresenceSnapshot,
  Room,
  RoomSnapshot,
  RoomsSnapshot,
  Store,
  User,
} from '@fairway/client';

/** What a story shows; the rest is as in a room that is ready. */
export interface FakeState {
  readonly connection?: Partial<ConnectionSnapshot>;
  readonly viewer: User | null;
  readonly rooms?: Partial<RoomsSnapshot>;
  readonly room?: RoomSnapshot;
  readonly online?: readonly string[];
  readonly found?: readonly Pick<User, 'id' | 'name' | 'avatarUrl'>[];
  /** The answer to the question for the files of the room. */
  readonly files?: unknown;
}

const storeOf = <Value>(value: Value): Store<Value> => ({ subscribe: () => () => undefined, getSnapshot: () => value });
const nothing = () => undefined;
const no = async () => false;

/** A client without a server, which shows one state and does nothing. */
export function createFakeFairway({
  connection,
  viewer,
  rooms,
  room,
  online = [],
  found = [],
  files,
}: FakeState): Fairway {
  const list: RoomsSnapshot = {
    status: 'ready',
    rooms: [],
    hasMore: false,
    isLoadingMore: false,
    unreadCount: 0,
    ...rooms,
  };
  const presence: PresenceSnapshot = new Map(online.map((id) => [id, { isOnline: true, lastSeenAt: null }]));
  const presences = storeOf(presence);
  const roomStore = {
    ...storeOf(room),
    id: room?.id,
    ...{
      send: nothing,
      sendFiles: nothing,
      edit: nothing,
      delete: nothing,
      see: nothing,
      setTyping: nothing,
      setDraft: nothing,
    },
    ...{ loadOlder: no, loadNewer: no, goTo: no, goToLatest: nothing, loadMoreMembers: no, leave: nothing },
  };
  return {
    connection: storeOf({
      status: 'connected',
      transport: 'websocket',
      retryAt: null,
      isStorageDurable: true,
      ...connection,
    }),
    viewer: storeOf(viewer),
    rooms: { ...storeOf(list), loadMore: no } as unknown as Fairway['rooms'],
    outbox: { ...storeOf([]), retry: nothing, retryWithout: nothing, discard: nothing },
    room: () => roomStore as unknown as Room,
    presence: () => presences,
    limits: () => ({
      ...{ maxContentLength: 4_000, maxPageSize: 100, maxWatchedUsers: 100, typingExpiresInMs: 6_000 },
      ...{ fileTypes: ['image/png'], maxAttachments: 10, maxFileBytes: 26_214_400 },
    }),
    files: undefined,
    createRoom: async () => list.rooms[0] as ListedRoom,
    request: async () => ({ searchUsers: found, room: files }) as never,
    reconnectNow: nothing,
    signOut: async () => undefined,
    close: nothing,
  };
}
