import { expect, it } from 'vitest';
import type { TestClient } from '../support/client.js';
import { InboxFollower } from '../support/inbox.js';
import {
  deleteMessage,
  editMessage,
  inviteMembers,
  leaveRoom,
  markRead,
  presence,
  presenceOf,
  removeMember,
  renameRoom,
  setTyping,
  typing,
  typingIn,
  whoAmI,
} from '../support/operations.js';
import { type Random, useRandom } from '../support/random.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld, type World } from '../support/world.js';

const people = [4, 5, 6, 7, 8];
const visitors = [20, 21, 22, 23];
/** This user does nothing, and is never removed. */
const watcher = 9;
const rounds = 4;
const stepsPerRound = 80;

interface Written {
  readonly roomId: string;
  readonly id: string;
  readonly by: number;
}

/** Random actions of all users at either instance. An action that the rules refuse changes nothing. */
class History {
  readonly #world: World;
  readonly #random: Random;
  readonly #clients: ReadonlyMap<number, readonly TestClient[]>;
  readonly #written: Written[] = [];
  readonly #visits: TestClient[] = [];
  #steps = 0;

  constructor(
    world: World,
    random: Random,
    clients: ReadonlyMap<number, readonly TestClient[]>,
    readonly roomIds: string[],
  ) {
    this.#world = world;
    this.#random = random;
    this.#clients = clients;
  }

  async run(count: number): Promise<void> {
    for (let step = 0; step < count; step += 1) {
      const moves = Array.from({ length: 3 }, () => this.#move().catch(refusedByRules));
      await Promise.all(moves);
    }
  }

  async #move(): Promise<unknown> {
    const random = this.#random;
    const userId = random.pick(people);
    const client = random.pick(this.#clients.get(userId) ?? []);
    const roomId = random.pick(this.roomIds);
    const other = String(random.pick(people));
    const target = random.pick(this.#written.length > 0 ? this.#written.slice(-15) : [{ roomId, id: roomId, by: 4 }]);
    const author = random.pick(this.#clients.get(target.by) ?? []);
    this.#steps += 1;
    const content = `${this.#steps}`;
    const kind = random.between(0, 19);
    if (kind < 7) {
      const { message } = await client.send(roomId, content);
      return this.#written.push({ roomId, id: message.id, by: userId });
    }
    if (kind < 9) return client.http(markRead, { input: { roomId: target.roomId, messageId: target.id } });
    if (kind === 9) return author.http(editMessage, { input: { messageId: target.id, content } });
    if (kind === 10) return author.http(deleteMessage, { input: { messageId: target.id } });
    if (kind === 11) return client.http(renameRoom, { input: { roomId, name: content } });
    if (kind === 12) return client.http(inviteMembers, { input: { roomId, userIds: [other] } });
    if (kind === 13) return client.http(removeMember, { input: { roomId, userId: other } });
    if (kind === 14) return client.http(leaveRoom, { input: { roomId } });
    if (kind === 15) return this.roomIds.push(await client.group(Number(other)));
    if (kind < 18) return client.http(setTyping, { input: { roomId, isTyping: random.next() < 0.7 } });
    return this.#comeOrGo();
  }

  async departAll(): Promise<void> {
    await Promise.all(this.#visits.splice(0).map((client) => client.cutOff()));
  }

  /** Disconnects a visitor, or connects one at either instance. */
  async #comeOrGo(): Promise<void> {
    const gone = this.#random.next() < 0.5 ? this.#visits.shift() : undefined;
    if (gone !== undefined) return gone.cutOff();
    const client = await this.#world.client(this.#random.pick(visitors), this.#random.between(0, 1));
    this.#visits.push(client);
    client.subscribe(presence, { userIds: [String(client.userId)] });
  }
}

const rules = new Set(['NOT_FOUND', 'FORBIDDEN', 'CONFLICT', 'BAD_USER_INPUT']);
function refusedByRules(error: { code?: string }): void {
  if (!rules.has(error.code ?? '')) throw error;
}

describeWithNats('a client that builds its state from a snapshot and events', () => {
  const world = useWorld({ instances: 2 });

  it('keeps inboxes, typing and presence equal to fresh queries at every quiet moment of a random history', async () => {
    const random = useRandom();
    const clients = new Map<number, TestClient[]>();
    for (const id of [...people, watcher]) clients.set(id, [await world.client(id, 0), await world.client(id, 1)]);
    const of = (userId: number, instance: number) => clients.get(userId)?.[instance] as TestClient;
    // A name that becomes known changes titles, but is not a change of a room.
    for (const id of [...people, watcher, ...visitors]) await (await world.client(id)).http(whoAmI, {});
    const hall = await of(4, 0).group(...people.slice(1), watcher, ...visitors);
    const roomIds = [hall, await of(5, 0).group(4, 6, 7), await of(6, 1).group(4, 5, 8), await of(4, 1).direct(5)];

    const inboxes = await Promise.all(people.map((id, index) => InboxFollower.start(of(id, index % 2))));
    const watched = [0, 1].map((instance) =>
      of(watcher, instance).subscribe(presence, { userIds: visitors.map(String) }),
    );
    const typists = [0, 1].map((instance) => of(watcher, instance).subscribe(typing, { roomId: hall }));
    const history = new History(world, random, clients, roomIds);

    for (let round = 1; round <= rounds; round += 1) {
      await history.run(stepsPerRound);
      for (const inbox of inboxes) await inbox.isRight();
      await waitFor(
        async () => {
          const { room } = await of(watcher, 1).http(typingIn, { id: hall });
          const now = JSON.stringify(room?.typing.map(({ id }) => id));
          return typists.every(({ events }) => JSON.stringify(events.at(-1)?.typing.users.map(({ id }) => id)) === now);
        },
        { what: 'the list of who types' },
      );
    }
    await history.departAll();
    await waitFor(
      async () => {
        const { users } = await of(watcher, 0).http(presenceOf, { ids: visitors.map(String) });
        return users.every((user) => {
          expect(user?.presence.status).toBe('OFFLINE');
          for (const { events } of watched) {
            const told = events.findLast((event) => event.presence.user.id === user?.id)?.presence;
            expect(told).toMatchObject({ status: 'OFFLINE', lastSeenAt: user?.presence.lastSeenAt });
          }
          return true;
        });
      },
      { what: 'the presence of the visitors' },
    );
    expect(inboxes.every(({ feed }) => !feed.isEnded)).toBe(true);
  });
});
