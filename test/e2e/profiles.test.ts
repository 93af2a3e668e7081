import { afterAll, beforeAll, expect, it } from 'vitest';
import { Backend } from '../support/backend.js';
import { profile, profileEvents, profilesInRoom, searchUsers } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { forgeToken, nowSeconds } from '../support/tokens.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const picture = 'https://cdn.example.com/people/1.png';

describeWithNats('the profile of a user', () => {
  const world = useWorld();
  let backend: Backend;
  beforeAll(async () => {
    backend = await Backend.connect(world.nats);
  });
  afterAll(() => backend?.close());

  /** A client whose token has these claims, issued so many seconds ago. */
  const withClaims = async (userId: number, claims: Record<string, unknown>, ageSeconds = 0, instance = 0) => {
    const iat = nowSeconds() - ageSeconds;
    const token = await forgeToken({ sub: String(userId), iat, exp: iat + 3_600, ...claims });
    const client = await world.client(userId, instance, token);
    const { viewer } = await client.http(profile, {});
    return { client, viewer };
  };

  it('has the picture of the newest token, on every instance, also in lists and events', async () => {
    const { client, viewer } = await withClaims(10, { name: '일', picture }, 60);
    expect(viewer).toEqual({ id: '10', name: '일', avatarUrl: picture, isDeleted: false });
    const other = await world.client(11, 1);
    const roomId = await client.group(11);
    const feed = other.subscribe(profileEvents, { roomId });
    await feed.count(1);
    await client.send(roomId, '안녕');
    const shown = { id: '10', name: '일', avatarUrl: picture, isDeleted: false };
    expect((await feed.count(2))[1]).toMatchObject({ roomEvents: { message: { sender: shown } } });
    const found = (await other.http(profilesInRoom, { id: roomId })).room;
    expect(found?.members[0]?.user).toEqual(shown);
    expect(found?.messages.edges.at(-1)?.node.sender).toEqual(shown);

    await withClaims(10, { name: '일', picture: `${picture}?new` }, 30);
    await waitFor(
      async () =>
        (await other.http(profilesInRoom, { id: roomId })).room?.members[0]?.user.avatarUrl === `${picture}?new`,
      { what: 'the new picture on the other instance' },
    );
    expect((await withClaims(10, { name: '일', picture }, 90)).viewer?.avatarUrl, 'from an older token').toBe(
      `${picture}?new`,
    );
    expect((await withClaims(10, { name: '일' })).viewer?.avatarUrl, 'a token without one').toBe(`${picture}?new`);
    feed.stop();
  });

  it.each([
    'http://example.com/a.png',
    'javascript:alert(1)',
    '//example.com/a',
    'https://u:p@example.com/',
    7,
    `https://e.com/${'a'.repeat(2_000)}`,
  ])('ignores %j as the picture of a token', async (bad) => {
    const { viewer } = await withClaims(12, { name: '이', picture: bad });
    expect(viewer).toMatchObject({ name: '이', avatarUrl: null });
  });

  it('is replaced by chat.users.upsert, which outranks the tokens before', async () => {
    const { client } = await withClaims(13, { name: '삼', picture }, 10);
    const avatarUrl = 'https://cdn.example.com/upserted.png';
    expect(await backend.ask('chat.users.upsert', { userId: 13, name: '셋', avatarUrl })).toMatchObject({
      success: true,
      data: { userId: 13, name: '셋', avatarUrl },
    });
    const current = async () => (await client.http(profile, {})).viewer;
    expect(await current()).toMatchObject({ name: '셋', avatarUrl });
    expect((await withClaims(13, { name: '삼', picture }, 5)).viewer).toMatchObject({ name: '셋', avatarUrl });

    await backend.ask('chat.users.upsert', { userId: 13, name: '세엣' });
    expect(await current(), 'an absent picture stays').toMatchObject({ name: '세엣', avatarUrl });
    await backend.ask('chat.users.upsert', { userId: 13, name: '세엣', avatarUrl: null });
    expect(await current(), 'null removes it').toMatchObject({ name: '세엣', avatarUrl: null });
    expect(await backend.ask('chat.users.upsert', { userId: 13, name: '삼', avatarUrl: 'ftp://x' })).toMatchObject({
      success: false,
      code: 'BAD_USER_INPUT',
    });
  });

  it('is a fixed name once the platform has deleted the user, whatever tokens and mentions say', async () => {
    const { client } = await withClaims(14, { name: '넷이었던사람', picture });
    const other = await world.client(15, 1);
    const roomId = await client.group(15);
    await client.send(roomId, '남는 글');

    expect(await backend.ask('chat.users.delete', { userId: 14 })).toEqual({ success: true, data: { userId: 14 } });
    expect(await backend.ask('chat.users.delete', { userId: 14 }), 'twice').toMatchObject({ success: true });

    const gone = { id: '14', name: '탈퇴한 사용자', avatarUrl: null, isDeleted: true };
    await waitFor(
      async () => (await other.http(profilesInRoom, { id: roomId })).room?.members[0]?.user.isDeleted === true,
      { what: 'the deletion on the other instance' },
    );
    const { room } = await other.http(profilesInRoom, { id: roomId });
    expect(room?.title).toBe('탈퇴한 사용자');
    expect(room?.members[0]?.user).toEqual(gone);
    expect(room?.messages.edges.at(-1)?.node).toMatchObject({ content: '남는 글', sender: gone });
    expect((await withClaims(14, { name: '돌아온사람', picture }, -5)).viewer, 'by a newer token').toEqual(gone);
    await backend.ask('chat.rooms.addMember', { roomId, userId: 15, memberIds: [14], memberNames: ['언급된사람'] });
    expect((await client.http(profile, {})).viewer, 'by a mention').toEqual(gone);
    for (const text of ['탈퇴한', '넷이었던']) {
      expect((await other.http(searchUsers, { text })).searchUsers, text).toEqual([]);
    }

    await backend.ask('chat.users.upsert', { userId: 14, name: '다시온사람' });
    expect((await client.http(profile, {})).viewer, 'by an upsert').toMatchObject({
      name: '다시온사람',
      isDeleted: false,
    });
  });

  it('refuses a deletion of nobody', async () => {
    for (const userId of [undefined, 0, 'x', null]) {
      expect(await backend.ask('chat.users.delete', { userId })).toMatchObject({
        success: false,
        code: 'BAD_USER_INPUT',
      });
    }
  });
});
