import { beforeAll, expect, it } from 'vitest';
import type { TestClient } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import { createRoom, inviteMembers, leaveRoom, memberPage, removeMember } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { postOperation } from '../support/wire.js';
import { useWorld } from '../support/world.js';

describeWithNats('the members of a room, page by page', () => {
  const world = useWorld({ instances: 1 });
  let kim: TestClient;
  beforeAll(async () => {
    kim = await world.client(4);
  });

  const pageOf = async (
    client: TestClient,
    id: string,
    args: { first?: number; after?: string | null | undefined },
  ) => {
    const { room } = await client.http(memberPage, { id, ...args, after: args.after ?? null });
    if (room == null) throw new Error('The room is not there');
    const { edges, pageInfo, totalCount } = room.memberPage;
    return { ids: edges.map(({ node }) => Number(node.user.id)), edges, pageInfo, totalCount };
  };
  const numbers = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index);

  it('start with the longest member, and come with their users and the total count', async () => {
    const room = await kim.group(9, 7);
    await kim.http(inviteMembers, { input: { roomId: room, userIds: ['5'] } });

    const one = await pageOf(kim, room, { first: 3 });
    const two = await pageOf(kim, room, { first: 3, after: one.pageInfo.endCursor });

    expect([one.ids, two.ids]).toEqual([[4, 7, 9], [5]]);
    expect([one, two].map(({ totalCount }) => totalCount)).toEqual([4, 4]);
    expect(one.edges[0]?.node).toMatchObject({ user: { id: '4', name: '김철수' }, isAdmin: true, leftAt: null });
    expect(one.pageInfo).toMatchObject({
      hasNextPage: true,
      hasPreviousPage: false,
      startCursor: one.edges[0]?.cursor,
      endCursor: one.edges[2]?.cursor,
    });
    expect(two.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true });
  });

  it('come fifty to a page by default, and an empty page follows the last', async () => {
    const room = await kim.group(...numbers(1_000, 59));

    const one = await pageOf(kim, room, {});
    const two = await pageOf(kim, room, { after: one.pageInfo.endCursor });
    const three = await pageOf(kim, room, { after: two.pageInfo.endCursor });

    expect([one, two, three].map(({ ids }) => ids.length)).toEqual([50, 10, 0]);
    expect(three.pageInfo).toEqual({ hasNextPage: false, hasPreviousPage: true, startCursor: null, endCursor: null });
  });

  it('appear once each in a room of 500 while others join and leave between two pages', async () => {
    const room = await kim.group(...numbers(1_000, 479));
    const stays = new Set([4, ...numbers(1_000, 479)]);
    const seen: number[] = [];
    let after: string | null | undefined;
    for (let place = 0; place < 20; place += 1) {
      const page = await pageOf(kim, room, { first: 25, after });
      seen.push(...page.ids);
      after = page.pageInfo.endCursor;
      if (!page.pageInfo.hasNextPage) break;
      // Between two pages, a listed member and a member who is still due leave, and another one joins.
      const [told, due, comes] = [page.ids.at(-1) as number, 1_470 - place, 2_000 + place];
      stays.delete(told);
      stays.delete(due);
      for (const userId of [told, due]) {
        await kim.http(removeMember, { input: { roomId: room, userId: String(userId) } });
      }
      await kim.http(inviteMembers, { input: { roomId: room, userIds: [String(comes)] } });
    }

    expect(seen.length).toBe(new Set(seen).size);
    expect([...stays].filter((id) => !seen.includes(id))).toEqual([]);
    expect(seen.filter((id) => id >= 2_000)).not.toEqual([]);
    expect((await pageOf(kim, room, { first: 1 })).totalCount).toBeGreaterThan(430);
  });

  it('are hidden from a former member, and have cursors of their own room only', async () => {
    const [room, other] = [await kim.group(5, 6), await kim.group(5)];
    const { pageInfo } = await pageOf(kim, other, { first: 1 });
    await expect(pageOf(kim, room, { first: 1, after: pageInfo.endCursor })).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
      message: expect.stringContaining('not a cursor of this member connection'),
    });

    const lee = await world.client(5);
    await lee.http(leaveRoom, { input: { roomId: room } });
    expect((await lee.http(memberPage, { id: room, first: 5 })).room).toBeNull();
    expect((await pageOf(kim, room, { first: 5 })).ids).toEqual([4, 6]);
  });

  it('include an invited user in the answer to the invitation', async () => {
    const { createRoom: made } = await kim.http(createRoom, { input: { type: 'GROUP', participantIds: ['5', '6'] } });
    const query = `mutation { inviteMembers(input: { roomId: "${made.room.id}", userIds: ["8"] }) {
      room { members { user { id } } memberPage(first: 2) { totalCount edges { node { user { id } } } } } } }`;

    const { data } = await postOperation(
      world.instances[0] as Instance,
      { query },
      {
        authorization: `Bearer ${kim.token}`,
      },
    );

    expect(data).toMatchObject({
      inviteMembers: {
        room: {
          members: ['4', '5', '6', '8'].map((id) => ({ user: { id } })),
          memberPage: { totalCount: 4, edges: ['4', '5'].map((id) => ({ node: { user: { id } } })) },
        },
      },
    });
  });
});
