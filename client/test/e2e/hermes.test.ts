import { createContext, runInContext } from 'node:vm';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { describeWithNats } from '../../../test/support/requirements.js';
import { waitFor } from '../../../test/support/wait-for.js';
import { useWorld } from '../../../test/support/world.js';
import type { createFairway } from '../../src/fairway.js';
import { bundle } from './bundle.js';

/** What React Native with Hermes has: no DOM, no crypto, no locks, no IndexedDB, no TextDecoder, no streams. */
const globals = { WebSocket, fetch, AbortController, setTimeout, clearTimeout, queueMicrotask, console };

describeWithNats("the client with Hermes' globals alone", () => {
  const world = useWorld({ instances: 1 });

  it('opens a room, receives and sends', async () => {
    const [kim, lee] = [await world.client(4), await world.client(5)];
    const roomId = await kim.group(5);
    const context = createContext({ ...globals });
    runInContext(await bundle('../../src/fairway.ts'), context);
    const create = runInContext('page.createFairway', context) as typeof createFairway;
    const fairway = create({ url: `${world.instances[0]?.url}/graphql`, getToken: () => kim.token });
    onTestFinished(() => fairway.close());
    const room = fairway.room(roomId);
    room.subscribe(() => undefined);
    const texts = () =>
      room
        .getSnapshot()
        .messages.filter(({ type }) => type === 'TEXT')
        .map(({ content, status }) => `${content} ${status}`);

    await waitFor(() => room.getSnapshot().status === 'ready', { what: 'the room' });
    await lee.send(roomId, 'one');
    await waitFor(() => texts().length === 1, { what: 'the message' });
    room.send('two');
    await waitFor(() => texts()[1] === 'two sent', { what: 'the answer' });
    expect(texts()).toEqual(['one sent', 'two sent']);
    expect(fairway.connection.getSnapshot()).toMatchObject({ transport: 'websocket', isStorageDurable: false });
  });
});
