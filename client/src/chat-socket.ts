import { createFairway, type Fairway, type FairwayOptions, type Room, type TimelineMessage } from './fairway.js';

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
  let stopConnection: Stop = () => {};
  let isConnected = false;

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
      stopConnection = client.connection.subscribe(() => {
        const isUp = client.connection.getSnapshot().status === 'connected';
        if (isUp === isConnected) return;
        isConnected = isUp;
        for (const listener of isUp ? listeners.connect : listeners.disconnect) listener();
      });
    },
    onConnect: (listener) => add(listeners.connect, listener),
    onDisconnect: (listener) => add(listeners.disconnect, listener),
    joinRoom: (roomId) => {
      const room = fairway?.room(roomId);
      if (room === undefined) return Promise.resolve(false);
      if (!joined.has(roomId)) joined.set(roomId, { room, stop: report(room, listeners) });
      return until(room, ({ status }) => (status === 'ready' ? true : status === 'gone' ? false : undefined));
    },
    leaveRoom: leave,
    sendMessage: async (roomId, content, type = 'TEXT') => {
      const client = fairway;
      if (client === undefined) return null;
      const room = client.room(roomId);
      const id = room.send(content, type === 'IMAGE' ? 'IMAGE' : 'TEXT');
      return until(room, ({ messages }) => {
        const message = messages.find((one) => one.id === id);
        if (message?.status === 'failed') {
          client.outbox.discard(id);
          return null;
        }
        return message?.status === 'sent' ? toChatMessage(roomId, message) : undefined;
      });
    },
    onMessage: (listener) => add(listeners.message, listener),
    sendTyping: (roomId, isTyping) => fairway?.room(roomId).setTyping(isTyping),
    onTyping: (listener) => add(listeners.typing, listener),
    isConnected: () => isConnected,
    disconnect: () => {
      for (const roomId of [...joined.keys()]) leave(roomId);
      stopConnection();
      fairway?.close();
      [fairway, isConnected] = [undefined, false];
    },
  };
  return socket;
}

/** Reports what is new in a room; what it shows when it is joined is not. */
function report(
  room: Room,
  listeners: { message: Set<(message: ChatMessage) => void>; typing: Set<(event: TypingEvent) => void> },
): Stop {
  let newest: number | undefined;
  let typing = new Map<string, string>();
  const look = () => {
    const { status, messages, typing: now } = room.getSnapshot();
    const last = Math.max(0, ...messages.map(({ seq }) => seq ?? 0));
    if (newest === undefined) {
      if (status === 'ready') newest = last;
    } else {
      const from = newest;
      newest = Math.max(newest, last);
      for (const message of messages) {
        if (message.seq === null || message.seq <= from) continue;
        for (const listener of listeners.message) listener(toChatMessage(room.id, message));
      }
    }
    const users = new Map(now.map(({ id, name }) => [id, name]));
    for (const [id, name] of new Map([...typing, ...users])) {
      if (typing.has(id) === users.has(id)) continue;
      const event = { roomId: room.id, userId: Number(id), userName: name, isTyping: users.has(id) };
      for (const listener of listeners.typing) listener(event);
    }
    typing = users;
  };
  const stop = room.subscribe(look);
  look();
  return stop;
}

/** Resolves with the first value of the room that is not undefined, and watches it until then. */
function until<Value>(
  room: Room,
  look: (snapshot: ReturnType<Room['getSnapshot']>) => Value | undefined,
): Promise<Value> {
  return new Promise((resolve) => {
    let stop: Stop = () => {};
    let isDone = false;
    const check = () => {
      if (isDone) return;
      const value = look(room.getSnapshot());
      if (value === undefined) return;
      isDone = true;
      stop();
      resolve(value);
    };
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
