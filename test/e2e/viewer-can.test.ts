import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Backend } from '../support/backend.js';
import type { TestClient } from '../support/client.js';
import { deleteMessage, editMessage, sendMessage, viewerCan } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { useWorld } from '../support/world.js';

const [admin, author, member] = [4, 5, 6];

describeWithNats('what a viewer is told that they may do', () => {
  const world = useWorld({ instances: 1 });
  let backend: Backend;
  beforeAll(async () => {
    backend = await Backend.connect(world.nats);
  });
  afterAll(() => backend?.close());

  const attempt = (doing: Promise<unknown>): Promise<boolean> =>
    doing.then(
      () => true,
      () => false,
    );

  /** Compares what each message says with what happens when it is tried. The text is one that was not there before. */
  async function expectTruth(client: TestClient, roomId: string): Promise<string[]> {
    const { room } = await client.http(viewerCan, { id: roomId });
    const told: string[] = [];
    for (const { node } of room?.messages.edges ?? []) {
      const { id, type, content, viewerCanEdit, viewerCanDelete } = node;
      const edited = await attempt(client.http(editMessage, { input: { messageId: id, content: `${content}!` } }));
      expect(edited, `editing ${type} ${content}`).toBe(viewerCanEdit);
      // Deleting twice is not an error.
      if (content !== null) {
        const deleted = await attempt(client.http(deleteMessage, { input: { messageId: id } }));
        expect(deleted, `deleting ${type} ${content}`).toBe(viewerCanDelete);
      }
      told.push(`${type}${viewerCanEdit ? ' edit' : ''}${viewerCanDelete ? ' delete' : ''}`);
    }
    expect(room?.viewerCanSend).toBe(await attempt(client.send(roomId, '보내기')));
    return told;
  }

  it('is what they may do, by their role', async () => {
    const [ofAdmin, ofAuthor, ofMember] = [
      await world.client(admin),
      await world.client(author),
      await world.client(member),
    ];
    const told = new Map<number, string[]>();
    for (const client of [ofAdmin, ofAuthor, ofMember]) {
      const roomId = await ofAdmin.group(author, member);
      await ofAuthor.send(roomId, '글');
      await ofAuthor.http(sendMessage, {
        input: { roomId, type: 'IMAGE', content: 'https://example.com/a.png' },
      });
      const gone = await ofAuthor.send(roomId, '지운 글');
      await ofAuthor.http(deleteMessage, { input: { messageId: gone.message.id } });
      told.set(client.userId, await expectTruth(client, roomId));
    }

    expect(Object.fromEntries(told)).toEqual({
      [admin]: ['SYSTEM', 'TEXT delete', 'IMAGE delete', 'TEXT'],
      [author]: ['SYSTEM', 'TEXT edit delete', 'IMAGE delete', 'TEXT'],
      [member]: ['SYSTEM', 'TEXT', 'IMAGE', 'TEXT'],
    });
  });

  it('ends with the booking, except for deleting', async () => {
    const client = await world.client(author);
    const bookingId = randomInt(1, 2 ** 31);
    const made = await backend.ask('chat.rooms.create', { type: 'BOOKING', bookingId, memberIds: [author, member] });
    await client.send(made.data.id, '취소 전');
    expect(await client.http(viewerCan, { id: made.data.id })).toMatchObject({ room: { viewerCanSend: true } });

    await backend.ask('chat.rooms.cancel', { bookingId });

    expect(await expectTruth(client, made.data.id)).toEqual(['SYSTEM', 'TEXT delete', 'SYSTEM']);
    expect(await client.http(viewerCan, { id: made.data.id })).toMatchObject({ room: { viewerCanSend: false } });
  });
});
