import { expect, it } from 'vitest';
import { Backend } from '../support/backend.js';
import { InboxFollower } from '../support/inbox.js';
import { startNatsWith } from '../support/nats.js';
import { describeWithNats } from '../support/requirements.js';
import { countTo, readStoredLog } from '../support/room-log.js';
import { readChatMessages } from '../support/stream.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const [kim, lee] = [4, 5];
/** More than the server carries in one message. */
const longText = '가나다라 '.repeat(700);

describeWithNats('a nats-server that carries 2 KB in a message', () => {
  const startSmall = () => startNatsWith('max_payload: 2KB\njetstream { store_dir: $NATS_STORE_DIR }');
  const world = useWorld({ instances: 2, nats: startSmall });

  async function arePublished(roomIds: readonly string[]): Promise<void> {
    const isPublished = async () => {
      const logs = await Promise.all(roomIds.map((roomId) => readStoredLog(world.database, roomId)));
      return logs.every(({ head, publishedSeq }) => publishedSeq === head);
    };
    await waitFor(isPublished, { what: 'the acknowledgement of the stream' });
  }

  it('carries the messages that 40 rooms send at once, and ends no instance', async () => {
    const sender = await world.client(kim, 0);
    const roomIds = await Promise.all(countTo(40).map((number) => sender.group(lee, 100 + number)));

    await Promise.all(roomIds.map((roomId) => sender.send(roomId, '동시에')));

    await arePublished(roomIds);
    for (const { process, output } of world.instances) {
      expect(process.exitCode, output()).toBeNull();
    }
  });

  it('carries a reference to a larger message, and every subscriber gets the message', async () => {
    const [sender, reader] = [await world.client(kim, 0), await world.client(lee, 1)];
    const roomId = await sender.group(lee);
    const feed = reader.roomEvents({ roomId });
    const inbox = await InboxFollower.start(reader);
    await feed.count(1);

    const { message } = await sender.send(roomId, longText);
    const { message: next } = await sender.send(roomId, '다음');

    const events = await feed.count(3);
    expect(events).toMatchObject([
      { __typename: 'RoomReady' },
      { __typename: 'MessageAdded', message: { id: message.id, content: longText } },
      { __typename: 'MessageAdded', message: { id: next.id, content: '다음' } },
    ]);
    await inbox.room(roomId, ({ seq }) => seq === next.seq, 'the newest message');
    await arePublished([roomId]);
    const stored = (await readChatMessages(world.nats)).filter(({ body }) => body['roomId'] === roomId);
    expect(stored.map(({ body }) => [body['seq'], body['isReference']])).toEqual([
      [1, undefined],
      [2, true],
      [3, undefined],
    ]);
    expect(stored[1]).toMatchObject({
      subject: `chat.room.${roomId}.message`,
      body: { id: message.id, roomId, seq: 2, changedSeq: 2, kind: 'added', senderId: kim, type: 'TEXT' },
    });
    expect(stored[1]?.body).not.toHaveProperty('content');
    expect(world.instances.map((instance) => instance.output()).join('')).not.toMatch(/could not be/);
  });

  it('brings a room to the inbox of every user that a larger entry names', async () => {
    const [maker, watcher] = [await world.client(kim, 0), await world.client(lee, 1)];
    const inbox = await InboxFollower.start(watcher);

    const roomId = await maker.group(lee, ...countTo(400).map((number) => 1_000_000_000 + number));

    await inbox.room(roomId, ({ seq }) => seq === 1, 'the new room');
    await arePublished([roomId]);
  });

  it('gets service descriptions with as many subjects as fit, and requests still work', async () => {
    const backend = await Backend.connect(world.nats);
    const answers: {
      readonly endpoints: readonly unknown[];
      readonly metadata: { readonly endpoints_left_out: string };
    }[] = [];
    const options = { strategy: 'count' as const, maxMessages: 2, maxWait: 10_000 };
    for await (const answer of await backend.connection.requestMany('$SRV.STATS', '', options)) {
      answers.push(answer.json());
    }
    const asked = countTo(20).map(() => backend.ask('chat.rooms.list', { userId: 99 }));

    expect(await Promise.all(asked)).toEqual(countTo(20).map(() => ({ success: true, data: [], nextCursor: null })));
    expect(answers).toHaveLength(2);
    for (const { endpoints, metadata } of answers) {
      expect(endpoints.length).toBeGreaterThan(1);
      expect(endpoints.length + Number(metadata.endpoints_left_out)).toBeGreaterThanOrEqual(12);
    }
    await backend.close();
  });
});
