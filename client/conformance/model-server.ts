/** A user's number as text, as GraphQL has it. */
type UserId = string;

interface ModelMessage {
  readonly id: string;
  readonly roomId: string;
  readonly seq: number;
  readonly type: 'TEXT' | 'IMAGE' | 'FILE' | 'SYSTEM';
  readonly files: readonly ModelFile[];
  readonly senderId: UserId;
  readonly createdAt: string;
  content: string | null;
  changedSeq: number;
  change: 'MessageAdded' | 'MessageUpdated' | 'MessageDeleted';
  editedAt: string | null;
  deletedAt: string | null;
  /** The states before, the newest last: a restored backup goes back to one of them. */
  readonly past: Partial<ModelMessage>[];
}

/** A file; its bytes are not looked at. */
interface ModelFile {
  readonly id: string;
  readonly roomId: string;
  readonly userId: UserId;
  readonly name: string;
  readonly contentType: string;
  readonly byteSize: number;
  /** How often its bytes have arrived. */
  arrived: number;
  status: 'PENDING' | 'READY' | 'FAILED' | 'EXPIRED';
  failure: 'TYPE_NOT_ALLOWED' | null;
  messageId: string | undefined;
}

interface ModelMember {
  joinedSeq: number;
  lastReadSeq: number;
  isAdmin: boolean;
  hasLeft: boolean;
}

interface ModelRoom {
  readonly id: string;
  readonly name: string;
  seq: number;
  epoch: string;
  /** Up to where the history is common with each earlier epoch. */
  readonly commonSeqs: Map<string, number>;
  updatedAt: number;
  messages: ModelMessage[];
  readonly members: Map<UserId, ModelMember>;
}

/** Receives what a subscription yields. */
export interface ModelSink {
  next(data: unknown): void;
  /** The last result: with errors, or without. */
  end(errors?: readonly unknown[]): void;
}

interface Subscriber {
  readonly userId: UserId;
  readonly roomId: string | undefined;
  readonly sink: ModelSink;
}

/** A refusal with one of the server's codes. */
export class ModelRefusal extends Error {
  constructor(
    readonly code: string,
    readonly retryAfterMs?: number,
  ) {
    super(code);
  }
}

/**
 * What the server promises a client, in memory: rooms with one log each, retries by id, replays, read marks, inboxes, epochs.
 * It executes the operations of this client by their names.
 */
export class ModelServer {
  readonly rooms = new Map<string, ModelRoom>();
  readonly files = new Map<string, ModelFile>();
  /** Every mutation that was executed, with repeats. */
  readonly executed: { readonly name: string; readonly userId: UserId; readonly variables: Record<string, unknown> }[] =
    [];
  /** If set, each mutation and query is refused with what it returns, unless that is undefined. */
  refuse: (name: string, variables: Record<string, unknown>) => ModelRefusal | undefined = () => undefined;
  readonly #subscribers = new Set<Subscriber>();
  #ids = 0;

  constructor(private readonly clock: { readonly now: number }) {}

  /** Refuses the next operations of that name; all of them without `times`. */
  refuseNext(operation: string, refusal: ModelRefusal, times = Number.POSITIVE_INFINITY): void {
    let left = times;
    this.refuse = (name) => {
      if (name !== operation || left <= 0) return undefined;
      left -= 1;
      return refusal;
    };
  }

  /** A new UUID, the same ones in each run. */
  newId(): string {
    this.#ids += 1;
    return `00000000-0000-4000-8000-${this.#ids.toString(16).padStart(12, '0')}`;
  }

  createRoom(userIds: readonly UserId[], name = 'room'): ModelRoom {
    const room: ModelRoom = {
      id: this.newId(),
      name,
      seq: 0,
      epoch: this.newId(),
      commonSeqs: new Map(),
      updatedAt: Math.floor(this.clock.now),
      messages: [],
      members: new Map(
        userIds.map((id, index) => [id, { joinedSeq: 0, lastReadSeq: 0, isAdmin: index === 0, hasLeft: false }]),
      ),
    };
    this.rooms.set(room.id, room);
    return room;
  }

  send(
    roomId: string,
    userId: UserId,
    content: string,
    id = this.newId(),
    type: ModelMessage['type'] = 'TEXT',
    files: readonly ModelFile[] = [],
  ) {
    const room = this.#roomOf(roomId, userId);
    const known = this.#findMessage(id);
    if (known !== undefined) {
      if (known.roomId !== roomId || known.senderId !== userId) throw new ModelRefusal('CONFLICT');
      return known;
    }
    if (files.some(({ status }) => status === 'PENDING')) throw new ModelRefusal('CONFLICT');
    if (files.some(({ status }) => status !== 'READY')) throw new ModelRefusal('BAD_USER_INPUT');
    if (files.some(({ messageId }) => messageId !== undefined)) throw new ModelRefusal('CONFLICT');
    for (const file of files) file.messageId = id;
    room.seq += 1;
    const message: ModelMessage = {
      id,
      roomId,
      seq: room.seq,
      type,
      files,
      senderId: userId,
      createdAt: new Date(this.clock.now).toISOString(),
      content,
      changedSeq: room.seq,
      change: 'MessageAdded',
      editedAt: null,
      deletedAt: null,
      past: [],
    };
    room.messages.push(message);
    this.#tell(room, message);
    return message;
  }

  /** Adds many messages at once that nobody hears of: the client is away. */
  fill(roomId: string, userId: UserId, count: number): void {
    const room = this.#roomOf(roomId, userId);
    const first = this.send(roomId, userId, 'one of many');
    for (let added = 1; added < count; added += 1) {
      room.seq += 1;
      room.messages.push({ ...first, id: this.newId(), seq: room.seq, changedSeq: room.seq });
    }
  }

  /** @param editedAt - if given, the message must not have been edited since */
  edit(messageId: string, userId: UserId, content: string, editedAt?: string | null) {
    const message = this.#findMessage(messageId);
    if (message === undefined) throw new ModelRefusal('NOT_FOUND');
    const room = this.#roomOf(message.roomId, userId);
    if (message.senderId !== userId) throw new ModelRefusal('FORBIDDEN');
    if (message.deletedAt !== null) throw new ModelRefusal('CONFLICT');
    if (message.content === content) return message;
    if (editedAt !== undefined && editedAt !== message.editedAt) throw new ModelRefusal('CONFLICT');
    room.seq += 1;
    message.past.push({ ...message });
    Object.assign(message, {
      content,
      changedSeq: room.seq,
      change: 'MessageUpdated',
      editedAt: new Date(this.clock.now).toISOString(),
    });
    this.#tell(room, message);
    return message;
  }

  delete(messageId: string, userId: UserId) {
    const message = this.#findMessage(messageId);
    if (message === undefined) throw new ModelRefusal('NOT_FOUND');
    const room = this.#roomOf(message.roomId, userId);
    if (message.senderId !== userId && room.members.get(userId)?.isAdmin !== true) throw new ModelRefusal('FORBIDDEN');
    if (message.deletedAt !== null) return message;
    room.seq += 1;
    message.past.push({ ...message });
    Object.assign(message, {
      content: null,
      changedSeq: room.seq,
      change: 'MessageDeleted',
      deletedAt: new Date(this.clock.now).toISOString(),
    });
    this.#tell(room, message);
    return message;
  }

  /** Announces a file, or returns the one that was announced. */
  announce(userId: UserId, input: Readonly<Record<string, unknown>>): ModelFile {
    const { id, roomId, name, contentType, byteSize } = input;
    this.#roomOf(String(roomId), userId);
    const known = this.files.get(String(id));
    if (known !== undefined) return known;
    const file: ModelFile = {
      ...{ id: String(id), roomId: String(roomId), userId },
      ...{ name: String(name), contentType: String(contentType), byteSize: Number(byteSize) },
      ...{ arrived: 0, status: 'PENDING', failure: null, messageId: undefined },
    };
    this.files.set(file.id, file);
    return file;
  }

  /** Takes the bytes of a file; returns the status of the answer. */
  receive(id: string, byteSize: number): number {
    const file = this.files.get(id);
    if (file?.byteSize !== byteSize) return 400;
    file.arrived += 1;
    return 204;
  }

  complete(id: string, userId: UserId): ModelFile {
    const file = this.files.get(id);
    if (file?.userId !== userId) throw new ModelRefusal('NOT_FOUND');
    if (file.status !== 'PENDING') return file;
    if (file.arrived === 0) throw new ModelRefusal('CONFLICT');
    const isAllowed = file.contentType !== 'application/x-forbidden';
    Object.assign(file, isAllowed ? { status: 'READY' } : { status: 'FAILED', failure: 'TYPE_NOT_ALLOWED' });
    return file;
  }

  markRead(roomId: string, userId: UserId, messageId: string) {
    const room = this.#roomOf(roomId, userId);
    const message = room.messages.find(({ id }) => id === messageId);
    if (message === undefined) throw new ModelRefusal('NOT_FOUND');
    const member = room.members.get(userId) as ModelMember;
    if (message.seq <= member.lastReadSeq) return room;
    member.lastReadSeq = message.seq;
    this.#emit(room, {
      __typename: 'MembersRead',
      members: [{ joinedSeq: member.joinedSeq, lastReadSeq: member.lastReadSeq, user: { id: userId } }],
    });
    this.#emitInbox(room);
    return room;
  }

  /** Ends a membership: the subscriptions of the member end. */
  remove(roomId: string, userId: UserId): void {
    const room = this.rooms.get(roomId) as ModelRoom;
    (room.members.get(userId) as ModelMember).hasLeft = true;
    for (const subscriber of [...this.#subscribers]) {
      if (subscriber.userId !== userId) continue;
      if (subscriber.roomId === roomId) {
        this.#subscribers.delete(subscriber);
        subscriber.sink.end(toErrors(new ModelRefusal('FORBIDDEN'), 'roomEvents'));
      } else if (subscriber.roomId === undefined) {
        subscriber.sink.next({ inboxEvents: { kind: 'ROOM_REMOVED', roomId, room: null } });
      }
    }
    this.send(roomId, [...room.members.keys()].find((id) => id !== userId) as string, 'removed', undefined, 'SYSTEM');
  }

  /** Loses the entries behind a position, as a restored backup does, and begins another epoch. */
  restore(roomId: string, toSeq: number): void {
    const room = this.rooms.get(roomId) as ModelRoom;
    room.messages = room.messages.filter(({ seq }) => seq <= toSeq);
    for (const message of room.messages) {
      while (message.changedSeq > toSeq) Object.assign(message, message.past.pop());
    }
    room.seq = toSeq;
    room.commonSeqs.set(room.epoch, toSeq);
    for (const [epoch, seq] of room.commonSeqs) room.commonSeqs.set(epoch, Math.min(seq, toSeq));
    room.epoch = this.newId();
    for (const member of room.members.values()) member.lastReadSeq = Math.min(member.lastReadSeq, toSeq);
    for (const { sink, roomId: watched } of this.#subscribers) {
      if (watched === roomId) sink.next({ roomEvents: { __typename: 'RoomResync', seq: room.seq, epoch: room.epoch } });
    }
    this.#emitInbox(room);
  }

  /** An event that only a newer server has, at the next position. */
  emitUnknown(roomId: string): void {
    const room = this.rooms.get(roomId) as ModelRoom;
    room.seq += 1;
    this.#emit(room, { __typename: 'SomethingNew' });
    this.#emitInbox(room);
  }

  /** Executes a query or mutation of the client. */
  execute(userId: UserId, name: string, variables: Record<string, unknown>): Record<string, unknown> {
    const isMutation = /^(Send|Edit|Delete|Mark|Set|Create|Complete|Leave)/.test(name);
    if (isMutation) this.executed.push({ name, userId, variables });
    const field = name.charAt(0).toLowerCase() + name.slice(1);
    try {
      const refusal = this.refuse(name, variables);
      if (refusal !== undefined) throw refusal;
      return { data: this.#resolve(userId, name, variables) };
    } catch (error) {
      if (!(error instanceof ModelRefusal)) throw error;
      return { errors: toErrors(error, field) };
    }
  }

  /** Subscribes; returns how to stop. */
  subscribe(userId: UserId, name: string, variables: Record<string, unknown>, sink: ModelSink): () => void {
    const roomId = name === 'InboxEvents' ? undefined : String(variables['roomId']);
    const subscriber: Subscriber = { userId, roomId, sink };
    const stop = () => this.#subscribers.delete(subscriber);
    try {
      const refusal = this.refuse(name, variables);
      if (refusal !== undefined) throw refusal;
      if (name === 'Typing' || name === 'Presence') return () => undefined;
      if (name === 'InboxEvents') {
        this.#subscribers.add(subscriber);
        sink.next({ inboxEvents: { kind: 'READY', roomId: null, room: null } });
        return stop;
      }
      const room = this.#roomOf(String(roomId), userId);
      const { afterSeq, epoch } = variables;
      if (afterSeq === null) sink.next({ roomEvents: { __typename: 'RoomReady', seq: room.seq, epoch: room.epoch } });
      else this.#replay(room, Number(afterSeq), String(epoch), sink);
      this.#subscribers.add(subscriber);
      return stop;
    } catch (error) {
      if (!(error instanceof ModelRefusal)) throw error;
      sink.end(toErrors(error, 'roomEvents'));
      return () => undefined;
    }
  }

  /** What a fresh query shows to this user: the truth that a client's state is compared with. */
  truth(roomId: string, userId: UserId) {
    const room = this.rooms.get(roomId) as ModelRoom;
    return room.messages.map((message) => ({
      ...this.#toMessage(message),
      unreadMemberCount: this.#countUnreadMembers(room, message),
      isOwn: message.senderId === userId,
    }));
  }

  /** How many messages this user has not read. */
  unreadCount(room: ModelRoom, userId: UserId): number {
    return this.#unread(room, userId).length;
  }

  #unread(room: ModelRoom, userId: UserId): ModelMessage[] {
    const { joinedSeq, lastReadSeq } = room.members.get(userId) as ModelMember;
    const from = Math.max(joinedSeq, lastReadSeq);
    return room.messages.filter(
      ({ seq, senderId, type, deletedAt }) =>
        seq > from && senderId !== userId && type !== 'SYSTEM' && deletedAt === null,
    );
  }

  #replay(room: ModelRoom, afterSeq: number, epoch: string, sink: ModelSink): void {
    const isCommon = epoch === room.epoch ? afterSeq <= room.seq : afterSeq <= (room.commonSeqs.get(epoch) ?? -1);
    const at = { seq: room.seq, epoch: room.epoch };
    if (!isCommon) {
      sink.next({ roomEvents: { __typename: 'RoomResync', ...at } });
    } else {
      const added = room.messages
        .filter(({ seq }) => seq > afterSeq)
        .map((message) => [message.seq, 'MessageAdded', message] as const);
      const changed = room.messages
        .filter(({ seq, changedSeq }) => seq <= afterSeq && changedSeq > afterSeq)
        .map((message) => [message.changedSeq, message.change, message] as const);
      for (const [seq, __typename, message] of [...added, ...changed].sort(([a], [b]) => a - b)) {
        sink.next({ roomEvents: { __typename, seq, epoch: room.epoch, message: this.#toMessage(message) } });
      }
    }
    sink.next({ roomEvents: { __typename: 'RoomReady', ...at } });
  }

  #resolve(userId: UserId, name: string, variables: Record<string, unknown>): unknown {
    const input = (variables['input'] ?? {}) as Record<string, string>;
    switch (name) {
      case 'Viewer':
        return {
          viewer: toUser(userId),
          limits: {
            ...{ maxContentLength: 4_000, maxPageSize: 100, maxWatchedUsers: 100, typingExpiresInMs: 6_000 },
            ...{ fileTypes: ['image/png'], maxAttachments: 10, maxFileBytes: 1_000_000 },
          },
        };
      case 'SendMessage': {
        const { roomId, content, id, attachmentIds = [] } = input;
        const files = [...attachmentIds].map((file) => this.complete(file, userId));
        const type = files.length > 0 ? 'FILE' : 'TEXT';
        const message = this.send(String(roomId), userId, String(content), String(id), type, files);
        return { sendMessage: { message: this.#toMessage(message) } };
      }
      case 'CreateUpload': {
        const file = this.announce(userId, input);
        const headers = [{ name: 'content-type', value: file.contentType }];
        const target = { method: 'PUT', url: `/files/incoming/${file.id}`, headers };
        return { createUpload: { ...target, attachment: toAttachment(file), expiresAt: '' } };
      }
      case 'CompleteUpload':
        return { completeUpload: { attachment: toAttachment(this.complete(String(input['id']), userId)) } };
      case 'EditMessage': {
        const { messageId, content, editedAt } = input;
        const message = this.edit(String(messageId), userId, String(content), editedAt);
        return { editMessage: { message: this.#toMessage(message) } };
      }
      case 'DeleteMessage':
        return { deleteMessage: { message: this.#toMessage(this.delete(String(input['messageId']), userId)) } };
      case 'MarkRead': {
        const room = this.markRead(String(input['roomId']), userId, String(input['messageId']));
        return { markRead: { room: { id: room.id, unreadCount: this.unreadCount(room, userId) } } };
      }
      case 'SetTyping':
        return { setTyping: { expiresInMs: 6_000 } };
      case 'RoomList': {
        const rooms = [...this.rooms.values()].filter(({ members }) => members.get(userId)?.hasLeft === false);
        rooms.sort((a, b) => b.updatedAt - a.updatedAt || (a.id < b.id ? 1 : -1));
        const edges = rooms.map((room) => ({ node: this.#toListedRoom(room, userId) }));
        return { rooms: { edges, pageInfo: { endCursor: null, hasNextPage: false } } };
      }
      default:
        return { room: this.#roomView(userId, name, variables) };
    }
  }

  #roomView(userId: UserId, name: string, variables: Record<string, unknown>): unknown {
    const room = this.rooms.get(String(variables['roomId']));
    if (room === undefined || room.members.get(userId)?.hasLeft !== false) return null;
    const count = Number(variables['count']);
    const page = (messages: readonly ModelMessage[], hasPreviousPage: boolean, hasNextPage: boolean) => ({
      edges: messages.map((message) => ({
        node: { ...this.#toMessage(message), unreadMemberCount: this.#countUnreadMembers(room, message) },
      })),
      pageInfo: { hasPreviousPage, hasNextPage },
    });
    const { messages } = room;
    switch (name) {
      case 'RoomState':
        return this.#toRoomState(room, userId);
      case 'OpenRoom':
        return {
          ...this.#toRoomState(room, userId),
          messages: page(messages.slice(-count), messages.length > count, false),
        };
      case 'OlderMessages': {
        const before = messages.filter(({ seq }) => seq < Number(variables['before']));
        return { id: room.id, messages: page(before.slice(-count), before.length > count, true) };
      }
      case 'NewerMessages': {
        const after = messages.filter(({ seq }) => seq > Number(variables['after']));
        return { id: room.id, messages: page(after.slice(0, count), true, after.length > count) };
      }
      case 'MessagesAround': {
        const index = messages.findIndex(({ id }) => id === variables['messageId']);
        if (index === -1) throw new ModelRefusal('NOT_FOUND');
        const from = Math.max(index - Math.floor(count / 2), 0);
        const to = Math.min(from + count, messages.length);
        return { id: room.id, messagesAround: page(messages.slice(from, to), from > 0, to < messages.length) };
      }
      default:
        throw new Error(`The model does not know ${name}`);
    }
  }

  #toRoomState(room: ModelRoom, userId: UserId) {
    const member = room.members.get(userId) as ModelMember;
    const present = [...room.members].filter(([, { hasLeft }]) => !hasLeft);
    const first = this.#unread(room, userId)[0];
    const { lastMessage: _ofTheList, ...head } = this.#toListedRoom(room, userId);
    return {
      ...head,
      viewerCanSend: true,
      viewerMember: { isAdmin: member.isAdmin, joinedSeq: member.joinedSeq, lastReadSeq: member.lastReadSeq },
      firstUnreadMessage: first === undefined ? null : { id: first.id, seq: first.seq },
      memberPage: {
        totalCount: present.length,
        edges: present.map(([id, { isAdmin, joinedSeq, lastReadSeq }]) => ({
          node: { isAdmin, joinedSeq, lastReadSeq, user: toUser(id) },
        })),
        pageInfo: { endCursor: null, hasNextPage: false },
      },
    };
  }

  #toListedRoom(room: ModelRoom, userId: UserId) {
    const last = room.messages.findLast(({ deletedAt }) => deletedAt === null);
    return {
      id: room.id,
      type: 'GROUP',
      title: room.name,
      name: room.name,
      imageUrl: null,
      peer: null,
      bookingId: null,
      cancelledAt: null,
      seq: room.seq,
      epoch: room.epoch,
      unreadCount: this.unreadCount(room, userId),
      memberCount: [...room.members.values()].filter(({ hasLeft }) => !hasLeft).length,
      updatedAt: new Date(room.updatedAt).toISOString(),
      lastMessage: last === undefined ? null : this.#toMessage(last),
    };
  }

  #toMessage({ id, seq, type, content, files, senderId, createdAt, editedAt, deletedAt }: ModelMessage) {
    return {
      id,
      seq,
      cursor: String(seq),
      type,
      content,
      attachments: deletedAt === null ? files.map(toAttachment) : [],
      senderName: `user ${senderId}`,
      sender: toUser(senderId),
      system: null,
      createdAt,
      editedAt,
      deletedAt,
    };
  }

  #countUnreadMembers(room: ModelRoom, { seq, senderId }: ModelMessage): number {
    return [...room.members].filter(
      ([id, { hasLeft, joinedSeq, lastReadSeq }]) =>
        !hasLeft && id !== senderId && joinedSeq < seq && lastReadSeq < seq,
    ).length;
  }

  #roomOf(roomId: string, userId: UserId): ModelRoom {
    const room = this.rooms.get(roomId);
    if (room === undefined || room.members.get(userId)?.hasLeft !== false) throw new ModelRefusal('NOT_FOUND');
    return room;
  }

  #findMessage(id: string): ModelMessage | undefined {
    for (const { messages } of this.rooms.values()) {
      const found = messages.find((message) => message.id === id);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #tell(room: ModelRoom, message: ModelMessage): void {
    room.updatedAt = Math.floor(this.clock.now);
    this.#emit(room, { __typename: message.change, message: this.#toMessage(message) });
    this.#emitInbox(room);
  }

  #emit(room: ModelRoom, event: Record<string, unknown>): void {
    for (const { roomId, sink } of [...this.#subscribers]) {
      if (roomId === room.id) sink.next({ roomEvents: { ...event, seq: room.seq, epoch: room.epoch } });
    }
  }

  #emitInbox(room: ModelRoom): void {
    for (const { userId, roomId, sink } of [...this.#subscribers]) {
      if (roomId !== undefined || room.members.get(userId)?.hasLeft !== false) continue;
      sink.next({ inboxEvents: { kind: 'ROOM_CHANGED', roomId: room.id, room: this.#toListedRoom(room, userId) } });
    }
  }
}

const toAttachment = ({ id, name, contentType, byteSize, status, failure }: ModelFile) => ({
  ...{ id, kind: 'FILE', name, contentType, byteSize, width: null, height: null, thumbHash: null, status, failure },
  ...{ url: `/files/${id}/original`, thumbnailUrl: null, largeUrl: null },
});

const toUser = (id: UserId) => ({ id, name: `user ${id}`, avatarUrl: null, isDeleted: false });

/** The `errors` of a refused operation. */
export const toErrors = ({ code, message, retryAfterMs }: ModelRefusal, field: string) => [
  { message, path: [field], extensions: { code, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) } },
];
