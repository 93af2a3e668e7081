import type { OnTypingSubscription } from '../e2e/generated/graphql.js';
import type { Feed, TestClient } from './client.js';
import { setTyping, typing, typingIn } from './operations.js';

export type TypingFeed = Feed<OnTypingSubscription>;

export const signal = (client: TestClient, roomId: string, isTyping: boolean) =>
  client.http(setTyping, { input: { roomId, isTyping } });
export const signalOverWs = (client: TestClient, roomId: string, isTyping: boolean) =>
  client.ws(setTyping, { input: { roomId, isTyping } });
export const type = (client: TestClient, roomId: string) => signal(client, roomId, true);
export const stop = (client: TestClient, roomId: string) => signal(client, roomId, false);

export const watch = (client: TestClient, roomId: string): TypingFeed => client.subscribe(typing, { roomId });

/** Queries the typing users, in the order in which they began. */
export async function typingNow(client: TestClient, roomId: string): Promise<number[] | undefined> {
  const { room } = await client.http(typingIn, { id: roomId });
  return room?.typing.map(({ id }) => Number(id));
}

export const listsOf = (feed: TypingFeed): number[][] =>
  feed.events.map(({ typing: { users } }) => users.map(({ id }) => Number(id)));

/** A signal lapses after 6 s, so a list with its user does not come later. */
const listedMs = 20_000;

/** Resolves once the newest list has these users in this order, with the time of its arrival. */
export async function untilListed(feed: TypingFeed, ...clients: readonly TestClient[]): Promise<number> {
  const isListed = () => isSame(listsOf(feed).at(-1), clients);
  await feed.until(isListed, `a list of [${clients.map(({ userId }) => userId)}]`, listedMs);
  return feed.times.at(-1) as number;
}

export const isSame = (list: readonly number[] | undefined, clients: readonly TestClient[]): boolean =>
  list !== undefined && list.length === clients.length && clients.every(({ userId }, index) => list[index] === userId);
