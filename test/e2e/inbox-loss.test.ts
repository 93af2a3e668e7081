import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { InboxFollower } from '../support/inbox.js';
import { markRead, removeMember, renameRoom } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const [viewer, friend, third] = [4, 5, 6];

describeWithNats('inboxEvents while nats-server is away for 20 s', () => {
  const world = useWorld({ instances: 2 });

  it('continues from the database, and is right after the return of NATS without a reconnect', async () => {
    const [mine, theirs] = [await world.client(viewer, 0), await world.client(friend, 1)];
    const [gone, renamed, read] = await Promise.all([1, 2, 3].map(() => theirs.group(viewer, third)));
    const { message } = await theirs.send(read as string, '읽을 것');
    const inbox = await InboxFollower.start(mine);
    const connection = inbox.feed;

    await world.nats.kill();
    const awayAt = performance.now();
    const made = await theirs.group(viewer);
    await theirs.send(made, '없는 동안');
    await theirs.http(removeMember, { input: { roomId: gone as string, userId: String(viewer) } });
    await inbox.room(made, ({ unreadCount }) => unreadCount === 1, 'a room that was made meanwhile');
    await waitFor(() => !inbox.list.has(gone as string), { what: 'the removal' });
    await theirs.http(renameRoom, { input: { roomId: renamed as string, name: '끊긴 사이' } });
    await (await world.client(viewer, 1)).http(markRead, { input: { roomId: read as string, messageId: message.id } });
    await delay(awayAt + 20_000 - performance.now());
    const { message: late } = await theirs.send(made, '돌아오기 직전');
    await world.nats.restart({ wipe: false });

    await inbox.room(made, ({ seq }) => seq === late.seq, 'the last message');
    await inbox.isRight();
    expect(inbox.list.get(read as string)?.unreadCount).toBe(0);
    expect(connection.isEnded).toBe(false);

    const { message: live } = await theirs.send(made, '다시');
    await inbox.room(made, ({ seq }) => seq === live.seq, 'a message after its return');
  });
});
