import { expect, it } from 'vitest';
import { describeWithNats } from '../support/requirements.js';
import { useWorld } from '../support/world.js';
import { graphql } from './generated/gql.js';

const peers = graphql(`
  query Peers($id: ID!) {
    room(id: $id) { peer { id name avatarUrl } }
    rooms(first: 10) { edges { node { id peer { id name } } } }
  }
`);
const inboxPeers = graphql(`subscription InboxPeers { inboxEvents { kind room { id peer { id } } } }`);

describeWithNats('the other member of a DIRECT room', () => {
  const world = useWorld({ env: { USER_DIRECTORY: 'off' } });

  it('is another one for each of the two, in a room, in lists and in events; other rooms have none', async () => {
    const [kim, lee] = [await world.client(4, 0), await world.client(5, 1)];
    for (const client of [kim, lee]) await client.http(peers, { id: '00000000-0000-4000-8000-000000000000' });
    const direct = await kim.direct(5);
    const group = await kim.group(5);
    await lee.send(direct, '안녕하세요');
    const seen = await kim.http(peers, { id: direct });
    expect(seen.room?.peer).toEqual({ id: '5', name: '이영희', avatarUrl: null });
    expect((await lee.http(peers, { id: direct })).room?.peer).toMatchObject({ id: '4', name: '김철수' });
    const listed = new Map(seen.rooms.edges.map(({ node }) => [node.id, node.peer]));
    expect([listed.get(direct)?.id, listed.get(group)]).toEqual(['5', null]);

    const [ofKim, ofLee] = [kim.subscribe(inboxPeers, {}), lee.subscribe(inboxPeers, {})];
    await Promise.all([ofKim.count(1), ofLee.count(1)]);
    await lee.send(direct, '또 만나요');
    const peerIn = (events: Awaited<ReturnType<typeof ofKim.count>>) => events.at(-1)?.inboxEvents.room?.peer?.id;
    expect([peerIn(await ofKim.count(2)), peerIn(await ofLee.count(2))]).toEqual(['5', '4']);
  });

  it('is shown without a name to somebody who has only written to their number', async () => {
    const kim = await world.client(4);
    const direct = await kim.direct(77);
    expect((await kim.http(peers, { id: direct })).room?.peer).toEqual({ id: '77', name: '#77', avatarUrl: null });
  });
});
