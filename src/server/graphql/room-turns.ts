import type { Turns } from '../../schema/context.js';

/** The parts of a mutation that determine its room; ids are in lower case. */
export interface MutationInput {
  /** Absent if the mutation names only a message, or creates a room. */
  readonly roomId: string | undefined;
  /** The message that it changes or sends. */
  readonly messageId: string | undefined;
  /** Sends to one room run at the same time: they are committed in the order in which they begin. */
  readonly isSend: boolean;
}

/** Resolves with null if there is no such message. @throws {ChatError} UNAVAILABLE if the lookup fails */
export type FindRoom = (messageId: string) => Promise<string | null>;

/**
 * Keeps the order of one socket: mutations of a room take effect in the order of the `arrive` calls, which is the order of
 * the frames. A blocked room does not delay other rooms. If a mutation names only a message, its room is looked up, and
 * later operations wait for the lookup.
 */
export class RoomTurns {
  readonly #findRoom: FindRoom;
  /** The running and waiting operations of each room, in order of arrival. */
  readonly #rooms = new Map<string, Place[]>();
  /** Operations without places yet, in order of arrival: the first waits for a lookup, the others wait for the first. */
  readonly #unplaced: OperationTurns[] = [];
  /** The room and the operation of each message that is being sent over this socket. */
  readonly #sending = new Map<string, { readonly roomId: string; readonly by: OperationTurns }>();

  constructor(findRoom: FindRoom) {
    this.#findRoom = findRoom;
  }

  /** The number of rooms with running operations. */
  get size(): number {
    return this.#rooms.size;
  }

  /** @param inputs - the mutations of one operation: call `take` for each, and `leave` when the operation has ended */
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

  /** Returns no lookup if the room is known. */
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

/** Calls the first place and, if it is a send, the sends right after it. */
function callUp(queue: readonly Place[]): void {
  for (const [index, place] of queue.entries()) {
    if (index > 0 && !place.isSend) return;
    place.call();
    if (!place.isSend) return;
  }
}

/** The place of one operation in one room. */
class Place {
  isSend = true;
  isCalled = false;
  onLeave: () => void = () => undefined;
  /** The number of its mutations that are not done yet. */
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
  /** The rooms of messages, or the error of a failed lookup. */
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

  /** @param enqueue - called with one place for each of the operation's rooms */
  place(enqueue: (roomId: string, place: Place) => void): void {
    this.#places = new Map();
    if (this.#hasLeft) return;
    // A send after another mutation of its operation would begin after later sends, so it does not count as a send.
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

  /** Frees the operation's places for those that wait. */
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
