import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { ListedRoomFragment, ListQuery, OnListSubscription } from '../e2e/generated/graphql.js';
import type { Feed, TestClient } from './client.js';
import { inbox, inboxEvents, list, listEvents } from './operations.js';
import { patienceMs, waitFor } from './wait-for.js';

export type InboxRoom = ListedRoomFragment & { readonly members?: readonly unknown[] };
type InboxEvent = OnListSubscription['inboxEvents'] & { readonly room?: InboxRoom | null };

/** The fields of a room list, nearly all of whose changes follow from the log; with the members, each change is read. */
export interface Shown {
  readonly members?: boolean;
}

/** Reads all rooms of a viewer, page by page. */
async function readInbox(client: TestClient, { members = false }: Shown): Promise<Map<string, InboxRoom>> {
  const rooms = new Map<string, InboxRoom>();
  let after: string | null = null;
  do {
    const { rooms: page }: ListQuery = await client.http(members ? inbox : list, { after });
    for (const { node } of page.edges) rooms.set(node.id, node);
    after = page.pageInfo.hasNextPage ? (page.pageInfo.endCursor ?? null) : null;
  } while (after !== null);
  return rooms;
}

/** A client that keeps a room list as documented: subscribe, wait for READY, query, then apply the events. */
export class InboxFollower {
  readonly rooms: Map<string, InboxRoom>;
  readonly feed: Feed<OnListSubscription>;
  readonly #read: () => Promise<Map<string, InboxRoom>>;
  #applied = 0;

  private constructor(
    feed: Feed<OnListSubscription>,
    rooms: Map<string, InboxRoom>,
    read: () => Promise<Map<string, InboxRoom>>,
  ) {
    this.feed = feed;
    this.rooms = rooms;
    this.#read = read;
  }

  static async start(client: TestClient, shown: Shown = {}): Promise<InboxFollower> {
    const feed: Feed<OnListSubscription> = client.subscribe(shown.members === true ? inboxEvents : listEvents, {});
    const [first] = await feed.count(1);
    expect(first?.inboxEvents).toEqual({ kind: 'READY', roomId: null, room: null });
    const read = () => readInbox(client, shown);
    return new InboxFollower(feed, await read(), read);
  }

  get events(): InboxEvent[] {
    return this.feed.events.map(({ inboxEvents: event }) => event);
  }

  /** The list with all events so far applied. */
  get list(): ReadonlyMap<string, InboxRoom> {
    if (this.feed.error !== undefined) throw this.feed.error;
    for (const { kind, roomId, room } of this.events.slice(this.#applied)) {
      if (kind === 'ROOM_CHANGED' && room != null) this.rooms.set(room.id, room);
      if (kind === 'ROOM_REMOVED' && roomId != null) this.rooms.delete(roomId);
    }
    this.#applied = this.feed.events.length;
    return this.rooms;
  }

  /** Resolves with the room once it is in the list and meets the condition. */
  room(roomId: string, looks: (room: InboxRoom) => boolean, what: string, timeoutMs = patienceMs): Promise<InboxRoom> {
    return waitFor(
      () => {
        const room = this.list.get(roomId);
        return room !== undefined && looks(room) ? room : undefined;
      },
      { what, timeoutMs },
    );
  }

  /** Resolves once the list equals the answer of a new query. */
  async isRight(timeoutMs = patienceMs): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const fresh = await this.#read();
      try {
        expect(sorted(this.list)).toEqual(sorted(fresh));
        return;
      } catch (error) {
        if (performance.now() > deadline) throw error;
        // Queries without a pause would delay the events that this waits for.
        await delay(200);
      }
    }
  }
}

const sorted = (rooms: ReadonlyMap<string, InboxRoom>): InboxRoom[] =>
  [...rooms.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
