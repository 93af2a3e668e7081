import { createFairway, type Fairway, type FairwayOptions, type Room, type TimelineMessage } from './fairway.js';
import { call } from './store.js';

/** A message as the methods of `chatSocket` always had it. */
export interface ChatMessage {
  readonly id: string;
  readonly roomId: string;
  readonly senderId: number;
  readonly senderName: string;
  readonly content: string | null;
  readonly messageType: string;
  readonly createdAt: string;
}

export interface TypingEvent {
  readonly roomId: string;
  readonly userId: number;
  readonly userName: string;
  readonly isTyping: boolean;
}

type Stop = () => void;

/** The methods of the Socket.IO client that this replaces, so that an app moves with one import. */
export interface ChatSocket {
  /** @param token - the token, or a function that returns a fresh one each time that it is needed */
  connect(token: string | FairwayOptions['getToken']): void;
  onConnect(listener: () => void): Stop;
  onDisconnect(listener: () => void): Stop;
  /** Resolves with whether the viewer is a member, once the room's messages arrive. */
  joinRoom(roomId: string): Promise<boolean>;
  leaveRoom(roomId: string): void;
  /** Resolves with the message once the server has stored it; with null if it was refused. Being offline only delays it. */
  sendMessage(roomId: string, content: string, type?: string): Promise<ChatMessage | null>;
  /** The new messages of the joined rooms, the viewer's own included, each once and in order. */
  onMessage(listener: (message: ChatMessage) => void): Stop;
  sendTyping(roomId: string, isTyping: boolean): void;
  onTyping(listener: (event: TypingEvent) => void): Stop;
  isConnected(): boolean;
  disconnect(): void;
  /** The client behind it, for all that these methods cannot do; undefined before `connect`. */
  readonly fairway: Fairway | undefined;
}

interface Joined {
  readonly room: Room;
  readonly stop: Stop;
}

export function createChatSocket(options: Omit<FairwayOptions, 'getToken'>): ChatSocket {
  const listeners = {
    connect: new Set<() => void>(),
    disconnect: new Set<() => void>(),
    message: new Set<(message: ChatMessage) => void>(),
    typing: new Set<(event: TypingEvent) => void>(),
  };
  const joined = new Map<string, Joined>();
  let fairway: Fairway | undefined;
  let stopWatching: Stop = () => {};
  let isConnected = false;
  /** Settles the promises that still wait when the client ends. */
  const waiting = new Set<Stop>();

  const add = <Listener>(set: Set<Listener>, listener: Listener): Stop => {
    set.add(listener);
    return () => set.delete(listener);
  };
  const leave = (roomId: string) => {
    joined.get(roomId)?.stop();
    joined.delete(roomId);
  };
  const socket: ChatSocket = {
    get fairway() {
      return fairway;
    },
    connect: (token) => {
      if (fairway !== undefined) return;
      const client = createFairway({ ...options, getToken: typeof token === 'function' ? token : () => token });
      fairway = client;
      const stopConnection = client.connection.subscribe(() => {
        const isUp = client.connection.getSnapshot().status === 'connected';
        if (isUp === isConnected) return;
        isConnected = isUp;
        for (const listener of isUp ? listeners.connect : listeners.disconnect) call(listener);
      });
      // These methods know neither retry nor discard: what is refused, also of an earlier page, holds nothing back.
      const stopOutbox = client.outbox.subscribe(() => {
        for (const { id, error } of client.outbox.getSnapshot()) if (error !== null) client.outbox.discard(id);
      });
      stopWatching = () => {
        stopConnection();
        stopOutbox();
      };
    },
    onConnect: (listener) => add(listeners.connect, listener),
    onDisconnect: (listener) => add(listeners.disconnect, listener),
    joinRoom: (roomId) => {
      const room = fairway?.room(roomId);
      if (room === undefined) return Promise.resolve(false);
      if (!joined.has(roomId)) joined.set(roomId, { room, stop: report(room, listeners) });
      return until(room, waiting, false, ({ status }) =>
        status === 'ready' ? true : status === 'gone' ? false : undefined,
      );
    },
    leaveRoom: leave,
    sendMessage: async (roomId, content, type = 'TEXT') => {
      const client = fairway;
      if (client === undefined) return null;
      const room = client.room(roomId);
      let id: string;
      try {
        id = room.send(content, type === 'IMAGE' ? 'IMAGE' : 'TEXT');
      } catch {
        return null;
      }
      return until(room, waiting, null, ({ messages, status }) => {
        const message = messages.find((one) => one.id === id);
        if (message?.status === 'sent') return toChatMessage(roomId, message);
        const isWaiting = client.outbox.getSnapshot().some((operation) => operation.id === id);
        // Refused and discarded, or the room is gone.
        return status === 'gone' || (!isWaiting && message === undefined && status === 'ready') ? null : undefined;
      });
    },
    onMessage: (listener) => add(listeners.message, listener),
    sendTyping: (roomId, isTyping) => fairway?.room(roomId).setTyping(isTyping),
    onTyping: (listener) => add(listeners.typing, listener),
    isConnected: () => isConnected,
    disconnect: () => {
      for (const roomId of [...joined.keys()]) leave(roomId);
      for (const settle of [...waiting]) settle();
      stopWatching();
      fairway?.close();
      [fairway, isConnected] = [undefined, false];
    },
  };
  return socket;
}

/** Messages that were reported are remembered up to this number. */
const maxKnown = 5_000;

/** Reports what is new in a room, each message once and in order; what it shows when it is joined is not new. */
function report(
  room: Room,
  listeners: { message: Set<(message: ChatMessage) => void>; typing: Set<(event: TypingEvent) => void> },
): Stop {
  const known = new Set<string>();
  let position: { readonly seq: number; readonly epoch: string } | undefined;
  /** Messages up to here were there before. */
  let from = 0;
  let typing = new Map<string, string>();
  const look = () => {
    const { status, messages, typing: now } = room.getSnapshot();
    const at = room.position;
    if (position === undefined) {
      if (status !== 'ready' || at === undefined) return;
      for (const { id } of messages) known.add(id);
      from = at.seq;
    } else if (at !== undefined) {
      // After a restored backup, what comes behind the last message that both lives have is new.
      if (at.epoch !== position.epoch)
        from = Math.max(0, ...messages.map(({ id, seq }) => (known.has(id) ? (seq ?? 0) : 0)));
      for (const message of messages) {
        // A confirmed message whose event has not arrived may be shown before others that come first.
        const isNew = message.seq !== null && message.seq > from && message.seq <= at.seq && !known.has(message.id);
        if (!isNew) continue;
        known.add(message.id);
        for (const listener of listeners.message) call(() => listener(toChatMessage(room.id, message)));
      }
      if (known.size > maxKnown) {
        from = at.seq;
        known.clear();
        for (const { id } of messages) known.add(id);
      }
    }
    position = at ?? position;
    const users = new Map(now.map(({ id, name }) => [id, name]));
    for (const [id, name] of new Map([...typing, ...users])) {
      if (typing.has(id) === users.has(id)) continue;
      const event = { roomId: room.id, userId: Number(id), userName: name, isTyping: users.has(id) };
      for (const listener of listeners.typing) call(() => listener(event));
    }
    typing = users;
  };
  const stop = room.subscribe(look);
  look();
  return stop;
}

/** Resolves with the first value of the room that is not undefined, or with `otherwise` when the client ends. */
function until<Value>(
  room: Room,
  waiting: Set<Stop>,
  otherwise: Value,
  look: (snapshot: ReturnType<Room['getSnapshot']>) => Value | undefined,
): Promise<Value> {
  return new Promise((resolve) => {
    let stop: Stop = () => {};
    let isDone = false;
    const settle = (value: Value) => {
      if (isDone) return;
      isDone = true;
      waiting.delete(end);
      stop();
      resolve(value);
    };
    const end = () => settle(otherwise);
    const check = () => {
      const value = look(room.getSnapshot());
      if (value !== undefined) settle(value);
    };
    waiting.add(end);
    stop = room.subscribe(check);
    check();
    if (isDone) stop();
  });
}

const toChatMessage = (
  roomId: string,
  { id, sender, senderName, content, type, createdAt }: TimelineMessage,
): ChatMessage => ({
  id,
  roomId,
  senderId: Number(sender.id),
  senderName,
  content,
  messageType: type,
  createdAt,
});
