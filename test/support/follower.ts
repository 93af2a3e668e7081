import type { HistoryQueryVariables } from '../e2e/generated/graphql.js';
import type { ApiError, Feed, RoomEvent, TestClient } from './client.js';
import { history } from './operations.js';

/** A message as a client keeps it. */
export interface KnownMessage {
  readonly id: string;
  readonly seq: number;
  readonly content: string | null;
}

/** A client that follows several rooms over one WebSocket. `resume` continues each room after its newest seq. */
export class Follower {
  readonly #client: TestClient;
  readonly #feeds: ReadonlyMap<string, Feed<RoomEvent>[]>;

  constructor(
    client: TestClient,
    readonly roomIds: readonly string[],
  ) {
    this.#client = client;
    this.#feeds = new Map(roomIds.map((roomId) => [roomId, []]));
  }

  resume(): void {
    for (const [roomId, feeds] of this.#feeds) {
      const epoch = this.events(roomId).at(-1)?.epoch;
      feeds.push(this.#client.roomEvents({ roomId, afterSeq: this.newestSeq(roomId), ...(epoch && { epoch }) }));
    }
  }

  /** Resolves once the client has noticed the cut. */
  async cutOff(): Promise<void> {
    await this.#client.cutOff();
    await Promise.all([...this.#feeds.values()].map((feeds) => feeds.at(-1)?.ended()));
  }

  /** The events of all its connections, in order of connection. */
  events(roomId: string): RoomEvent[] {
    return this.#feedsOf(roomId).flatMap((feed) => feed.events);
  }

  /** The time of each event, by `performance.now()`. */
  times(roomId: string): number[] {
    return this.#feedsOf(roomId).flatMap((feed) => feed.times);
  }

  /** The error that ended each of its subscriptions to the room; undefined for one that is live. */
  endings(roomId: string): (ApiError | undefined)[] {
    return this.#feedsOf(roomId).map((feed) => feed.error);
  }

  isReady(roomId: string): boolean {
    return this.events(roomId).some(({ __typename }) => __typename === 'RoomReady');
  }

  newestSeq(roomId: string): number {
    return this.events(roomId).at(-1)?.seq ?? 0;
  }

  #feedsOf(roomId: string): readonly Feed<RoomEvent>[] {
    const feeds = this.#feeds.get(roomId);
    if (feeds === undefined) throw new Error(`Does not follow ${roomId}`);
    return feeds;
  }
}

/** The messages of a client that applied the events, in the order of seq. */
export function applyEvents(events: readonly RoomEvent[]): KnownMessage[] {
  const known = new Map<string, KnownMessage>();
  for (const event of events) if ('message' in event) known.set(event.message.id, toKnown(event.message));
  return [...known.values()].sort((a, b) => a.seq - b.seq);
}

/** Reads the whole room by the history query, page by page. */
export async function readHistory(client: TestClient, roomId: string): Promise<KnownMessage[]> {
  const messages: KnownMessage[] = [];
  let after: string | undefined;
  do {
    const page = await readPage(client, { id: roomId, first: 100, ...(after === undefined ? {} : { after }) });
    messages.push(...page.edges.map(({ node }) => toKnown(node)));
    after = page.pageInfo.hasNextPage ? (page.pageInfo.endCursor ?? undefined) : undefined;
  } while (after !== undefined);
  return messages;
}

async function readPage(client: TestClient, variables: HistoryQueryVariables) {
  const { room } = await client.http(history, variables);
  if (room == null) throw new Error(`No such room: ${variables.id}`);
  return room.messages;
}

const toKnown = ({ id, seq, content }: { id: string; seq: number; content?: string | null }): KnownMessage => ({
  id,
  seq,
  content: content ?? null,
});
