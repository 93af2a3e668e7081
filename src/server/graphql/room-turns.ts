import type { Turns } from '../../schema/context.js';

/** What of a mutation decides in which room it takes effect; ids in lower case. */
export interface MutationInput {
  /** Absent where the mutation names its room by a message alone, or has none yet. */
  readonly roomId: string | undefined;
  /** The message that it is about, or that it sends. */
  readonly messageId: string | undefined;
  /** Sends to one room are under way together: they are committed in the order in which they begin. */
  readonly isSend: boolean;
}

/** Null where there is no such message. @throws {ChatError} UNAVAILABLE where it cannot be looked up */
export type FindRoom = (messageId: string) => Promise<string | null>;

/**
 * The order of one socket: what came first in a room takes effect first, whatever it is. That is the order in which
 * `arrive` was called, as the frames came and before anything was waited for. A room that is stuck holds up no other one.
 * Where a mutation names a message alone, its room is looked up, and what came behind it waits until that is known.
 */
export class RoomTurns {
  readonly #findRoom: FindRoom;
  /** What is under way in each room or waits for its turn, as it arrived. */
  readonly #rooms = new Map<string, Place[]>();
  /** Operations that have no places yet, as they arrived: the first looks for a room, the others wait for it. */
  readonly #unplaced: OperationTurns[] = [];
  /** By message that is being sent from here: where to, and by which operation. */
  readonly #sending = new Map<string, { readonly roomId: string; readonly by: OperationTurns }>();

  constructor(findRoom: FindRoom) {
    this.#findRoom = findRoom;
  }

  /** Rooms in which something is under way. */
  get size(): number {
    return this.#rooms.size;
  }

  /** @param inputs - of one operation's mutations; each is to take its turn, and the operation to leave when it has ended */
  arrive(inputs: readonly MutationInput[]): OperationTurns {
    const operation = new OperationTurns(inputs, () => this.#forget(operation, inputs));
    for (const { isSend, messageId, roomId } of inputs) {
      if (isSend && messageId !== undefined && roomId !== undefined) {
        this.#sending.set(messageId, { roomId, by: operation });
      }
    }
    const lookUps = inputs.flatMap((input) => this.#lookUp(input, operation));
    if (lookUps.length === 0 && this.#unplaced.length === 0) {
      this.#place(operation);
      return operation;
    }
    this.#unplaced.push(operation);
    void Promise.all(lookUps).then(() => {
      operation.isFound = true;
      this.#placeFound();
    });
    return operation;
  }

  /** Nothing where the room is known. */
  #lookUp({ roomId, messageId }: MutationInput, operation: OperationTurns): Promise<void>[] {
    if (roomId !== undefined || messageId === undefined) return [];
    const note = (found: string | Error | null) => void operation.found.set(messageId, found);
    const sending = this.#sending.get(messageId);
    if (sending !== undefined) {
      note(sending.roomId);
      return [];
    }
    return [this.#findRoom(messageId).then(note, note)];
  }

  #placeFound(): void {
    for (let [next] = this.#unplaced; next?.isFound === true; [next] = this.#unplaced) {
      this.#unplaced.shift();
      this.#place(next);
    }
  }

  #place(operation: OperationTurns): void {
    operation.place((roomId, place) => {
      const queue = this.#rooms.get(roomId) ?? [];
      if (queue.push(place) === 1) this.#rooms.set(roomId, queue);
      place.onLeave = () => this.#remove(roomId, place);
      callUp(queue);
    });
  }

  #remove(roomId: string, place: Place): void {
    const queue = this.#rooms.get(roomId) ?? [];
    queue.splice(queue.indexOf(place), 1);
    if (queue.length === 0) this.#rooms.delete(roomId);
    callUp(queue);
  }

  #forget(operation: OperationTurns, inputs: readonly MutationInput[]): void {
    for (const { messageId = '' } of inputs) {
      if (this.#sending.get(messageId)?.by === operation) this.#sending.delete(messageId);
    }
  }
}

/** The first, and where it is a send, the sends right behind it. */
function callUp(queue: readonly Place[]): void {
  for (const [index, place] of queue.entries()) {
    if (index > 0 && !place.isSend) return;
    place.call();
    if (!place.isSend) return;
  }
}

/** One operation in one room. */
class Place {
  isSend = true;
  isCalled = false;
  onLeave: () => void = () => undefined;
  /** Its mutations that have not been done yet. */
  #uses = 0;
  #waiting: (() => void)[] = [];

  add(isSend: boolean): void {
    this.#uses += 1;
    this.isSend &&= isSend;
  }

  call(): void {
    if (this.isCalled) return;
    this.isCalled = true;
    for (const resolve of this.#waiting) resolve();
    this.#waiting = [];
  }

  called(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  end(): void {
    this.#uses -= 1;
    if (this.#uses === 0) this.onLeave();
  }

  leave(): void {
    if (this.#uses > 0) this.onLeave();
    this.#uses = 0;
  }
}

/** The turns of one operation. */
export class OperationTurns implements Turns {
  /** The rooms of messages, or why they could not be looked up. */
  readonly found = new Map<string, string | Error | null>();
  isFound = false;
  readonly #inputs: readonly MutationInput[];
  readonly #onLeave: () => void;
  #places: Map<string, Place> | undefined;
  #waiting: (() => void)[] = [];
  #hasLeft = false;

  constructor(inputs: readonly MutationInput[], onLeave: () => void) {
    this.#inputs = inputs;
    this.#onLeave = onLeave;
  }

  /** @param enqueue - one place in each of its rooms */
  place(enqueue: (roomId: string, place: Place) => void): void {
    this.#places = new Map();
    if (this.#hasLeft) return;
    // What begins behind another mutation of its operation would begin behind sends that came later.
    const isAlone = this.#inputs.length === 1;
    for (const input of this.#inputs) {
      const roomId = this.#roomOf(input);
      if (typeof roomId !== 'string') continue;
      const place = this.#places.get(roomId) ?? new Place();
      place.add(input.isSend && isAlone);
      this.#places.set(roomId, place);
    }
    for (const [roomId, place] of this.#places) enqueue(roomId, place);
    for (const resolve of this.#waiting) resolve();
    this.#waiting = [];
  }

  async take<T>(input: unknown, work: () => T | Promise<T>): Promise<T> {
    if (this.#places === undefined) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const roomId = this.#roomOf(readIds(input));
    if (roomId instanceof Error) throw roomId;
    const place = this.#places?.get(roomId ?? '');
    if (place === undefined) return work();
    if (!place.isCalled) await place.called();
    try {
      return await work();
    } finally {
      place.end();
    }
  }

  /** Gives its places to what waits behind it. */
  leave(): void {
    this.#hasLeft = true;
    for (const place of this.#places?.values() ?? []) place.leave();
    this.#onLeave();
  }

  #roomOf({ roomId, messageId = '' }: Pick<MutationInput, 'roomId' | 'messageId'>): string | Error | null | undefined {
    return roomId ?? this.found.get(messageId);
  }
}

/** The ids in a mutation's input, as they are stored. */
function readIds(input: unknown): Pick<MutationInput, 'roomId' | 'messageId'> {
  const { roomId, messageId } = (input ?? {}) as Readonly<Record<string, unknown>>;
  return { roomId: readId(roomId), messageId: readId(messageId) };
}

export const readId = (value: unknown): string | undefined =>
  typeof value === 'string' ? value.toLowerCase() : undefined;
