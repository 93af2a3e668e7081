import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import type { TestClient } from '../../../test/support/client.js';
import { describeWithNats } from '../../../test/support/requirements.js';
import { startTcpProxy } from '../../../test/support/tcp-proxy.js';
import { waitFor } from '../../../test/support/wait-for.js';
import { useWorld } from '../../../test/support/world.js';
import { createEnvironment, createFairway } from '../../src/fairway.js';

describeWithNats('the client with a real server', () => {
  const world = useWorld({ instances: 2 });
  let kim: TestClient;
  let lee: TestClient;

  beforeAll(async () => {
    kim = await world.client(4, 0);
    lee = await world.client(5, 1);
  });

  const start = (url: string) => {
    const fairway = createFairway({
      url: `${url}/graphql`,
      getToken: () => kim.token,
      environment: createEnvironment({ WebSocket }),
    });
    onTestFinished(() => fairway.close());
    return fairway;
  };

  it('opens a room, receives, sends, edits, deletes, and resumes', async () => {
    const roomId = await kim.group(5);
    const proxy = await startTcpProxy(world.instances[0]?.url ?? '');
    onTestFinished(() => proxy.stop());
    const fairway = start(proxy.url.replace(/\/$/, ''));
    const room = fairway.room(roomId);
    fairway.rooms.subscribe(() => undefined);
    room.subscribe(() => undefined);
    const texts = () =>
      room
        .getSnapshot()
        .messages.filter(({ type }) => type === 'TEXT')
        .map(({ content, status, unreadMemberCount }) => `${content} ${status} ${unreadMemberCount}`);
    const shows = (...expected: string[]) =>
      waitFor(() => JSON.stringify(texts()) === JSON.stringify(expected), { what: `${expected}, not ${texts()}` });

    await waitFor(() => room.getSnapshot().status === 'ready', {
      what: `the room ${JSON.stringify(fairway.connection.getSnapshot())}`,
    });
    await lee.send(roomId, 'one');
    await shows('one sent 1');
    const two = room.send('two');
    await shows('one sent 1', 'two sent 1');
    room.edit(two, 'TWO');
    await shows('one sent 1', 'TWO sent 1');
    await proxy.cut();
    await waitFor(() => fairway.connection.getSnapshot().status === 'reconnecting', { what: 'the cut' });
    room.send('three');
    await lee.send(roomId, 'four');
    await proxy.restore();
    fairway.reconnectNow();
    await shows('one sent 1', 'TWO sent 1', 'four sent 1', 'three sent 1');
    room.delete(two);
    await shows('one sent 1', 'null sent 1', 'four sent 1', 'three sent 1');
    const last = room.getSnapshot().messages.find(({ content }) => content === 'four');
    expect(room.getSnapshot().unreadCount).toBe(2);
    room.see(last?.id ?? '');
    await waitFor(() => room.getSnapshot().unreadCount === 0, { what: 'the read mark' });
    await shows('one sent 0', 'null sent 1', 'four sent 0', 'three sent 1');
    await waitFor(() => fairway.rooms.getSnapshot().rooms[0]?.unreadCount === 0, { what: 'the list' });
  });

  it('is usable after 100,000 missed messages without reading them', async () => {
    const roomId = await kim.group(5);
    const proxy = await startTcpProxy(world.instances[0]?.url ?? '');
    onTestFinished(() => proxy.stop());
    const fairway = start(proxy.url.replace(/\/$/, ''));
    const room = fairway.room(roomId);
    room.subscribe(() => undefined);
    await waitFor(() => room.getSnapshot().status === 'ready', { what: 'the room' });
    await proxy.cut();
    await waitFor(() => room.getSnapshot().status === 'stale', { what: 'the cut' });
    await world.database.query(
      `INSERT INTO chat_messages (id, room_id, sender_id, sender_name, type, content, seq, changed_seq)
       SELECT gen_random_uuid(), id, 5, 'name', 'TEXT', 'text ' || n, seq + n, seq + n
       FROM chat_rooms, generate_series(1, 100000) n WHERE id = $1`,
      [roomId],
    );
    await world.database.query('UPDATE chat_rooms SET seq = seq + 100000 WHERE id = $1', [roomId]);
    await proxy.restore();
    fairway.reconnectNow();
    await waitFor(() => room.getSnapshot().status === 'ready', { what: 'the room again' });
    const { messages, hasOlder } = room.getSnapshot();
    expect(messages.at(-1)?.content).toBe('text 100000');
    expect([messages.length, hasOlder]).toEqual([50, true]);
  });
});
