import { afterAll, beforeAll, expect, it } from 'vitest';
import { Backend } from '../support/backend.js';
import type { TestClient } from '../support/client.js';
import { InboxFollower } from '../support/inbox.js';
import {
  deleteMessage,
  editMessage,
  inviteMembers,
  leaveRoom,
  markRead,
  removeMember,
  renameRoom,
  whoAmI,
} from '../support/operations.js';
import { useRandom } from '../support/random.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const people = [4, 5, 6, 7, 8, 9];
const stepsPerRound = 150;
const atOnce = 4;

describeWithNats('a room list that is kept by events', () => {
  const world = useWorld({ instances: 2 });
  let backend: Backend;
  beforeAll(async () => {
    backend = await Backend.connect(world.nats);
  });
  afterAll(() => backend?.close());

  it('equals a fresh query after every round of a mixed day, while NATS is away too', async () => {
    const random = useRandom();
    const clients = new Map<number, TestClient[]>();
    for (const id of people) clients.set(id, [await world.client(id, 0), await world.client(id, 1)]);
    const anyOf = (userId: number) => random.pick(clients.get(userId) ?? []);
    for (const id of people) await anyOf(id).http(whoAmI, {});
    const roomIds = [
      await anyOf(4).group(...people.slice(1)),
      await anyOf(5).group(4, 6, 7),
      await anyOf(6).group(7, 8, 9),
      await anyOf(4).direct(5),
      await anyOf(8).direct(9),
    ];
    const inboxes = await Promise.all(
      people.flatMap((id) => (clients.get(id) ?? []).map((client) => InboxFollower.start(client))),
    );
    const written: { readonly roomId: string; readonly id: string; readonly by: number }[] = [];
    let steps = 0;

    /** Mostly messages and marks, as on a real day; everything else in between. */
    async function step(hasNames: boolean): Promise<unknown> {
      steps += 1;
      const text = `${steps}`;
      const userId = random.pick(people);
      const client = anyOf(userId);
      const roomId = random.pick(roomIds);
      const other = String(random.pick(people));
      const kind = random.between(0, 99);
      const target = written[Math.max(0, written.length - random.between(1, 30))];
      if (kind < 50 || target === undefined) {
        const { message } = await client.send(roomId, text);
        return written.push({ roomId, id: message.id, by: userId });
      }
      if (kind < 75) return client.http(markRead, { input: { roomId: target.roomId, messageId: target.id } });
      const author = anyOf(target.by);
      if (kind < 82) return author.http(editMessage, { input: { messageId: target.id, content: text } });
      if (kind < 90) return author.http(deleteMessage, { input: { messageId: target.id } });
      if (kind < 92) return client.http(renameRoom, { input: { roomId, name: text } });
      if (kind < 94) return client.http(inviteMembers, { input: { roomId, userIds: [other] } });
      if (kind < 95) return client.http(removeMember, { input: { roomId, userId: other } });
      if (kind < 96) return client.http(leaveRoom, { input: { roomId } });
      return hasNames ? backend.ask('chat.users.upsert', { userId, name: `이름 ${text}` }) : undefined;
    }
    async function round(hasNames: boolean): Promise<void> {
      for (let count = 0; count < stepsPerRound; count += atOnce) {
        await Promise.all(Array.from({ length: atOnce }, () => step(hasNames).catch(refusedByRules)));
      }
    }

    await round(true);
    for (const inbox of inboxes) await inbox.isRight();
    await round(true);
    for (const inbox of inboxes) await inbox.isRight();

    await world.nats.kill();
    await round(false);
    for (const inbox of inboxes) await inbox.isRight();
    const back = world.nats.restart({ wipe: false });
    await round(false);
    await back;
    for (const inbox of inboxes) await inbox.isRight();

    const answers = () => backend.ask('chat.users.upsert', { userId: 99, name: '돌아옴' });
    await waitFor(() => answers().catch(() => undefined), { what: 'answers to backends' });
    await round(true);
    for (const inbox of inboxes) await inbox.isRight();
    expect(inboxes.every(({ feed }) => !feed.isEnded)).toBe(true);
  });
});

const rules = new Set(['NOT_FOUND', 'FORBIDDEN', 'CONFLICT', 'BAD_USER_INPUT']);
function refusedByRules(error: { code?: string }): void {
  if (!rules.has(error.code ?? '')) throw error;
}
