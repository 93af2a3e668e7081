import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type MutationInput, RoomTurns } from '../../src/server/graphql/room-turns.js';

/** Mutations that end when the test calls `end`; `begun` lists those that have begun. */
function createSocket(find: (messageId: string) => Promise<string | null> = async () => null) {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const turns = new RoomTurns(find);
  const input = (name: string, more: Partial<MutationInput>): MutationInput => ({
    roomId: undefined,
    messageId: undefined,
    isSend: name.startsWith('send'),
    ...more,
  });
  const work = (name: string) => () =>
    new Promise<string>((resolve) => {
      begun.push(name);
      ends.set(name, () => resolve(name));
    });
  return {
    begun,
    turns,
    /** One operation with one mutation, which has arrived when this returns. */
    arrive(name: string, more: Partial<MutationInput>) {
      const operation = turns.arrive([input(name, more)]);
      return operation.take(more, work(name)).finally(() => operation.leave());
    },
    /** One operation with several mutations, executed one after the other. */
    arriveTogether(...mutations: readonly (readonly [string, Partial<MutationInput>])[]) {
      const operation = turns.arrive(mutations.map(([name, more]) => input(name, more)));
      const run = async () => {
        for (const [name, more] of mutations) await operation.take(more, work(name));
        operation.leave();
      };
      return run();
    },
    async end(name: string) {
      ends.get(name)?.();
      await turn();
    },
  };
}

describe('the turns of one socket', () => {
  it('lets a change begin when the one before it in its room has ended', async () => {
    const { begun, arrive, end } = createSocket();
    void arrive('edit 1', { roomId: 'a' });
    void arrive('edit 2', { roomId: 'a' });
    void arrive('edit 3', { roomId: 'a' });
    await turn();
    expect(begun).toEqual(['edit 1']);

    await end('edit 1');
    expect(begun).toEqual(['edit 1', 'edit 2']);
    await end('edit 2');
    expect(begun).toEqual(['edit 1', 'edit 2', 'edit 3']);
  });

  it('runs sends of one room together, in their order, and a change after all of them', async () => {
    const { begun, arrive, end } = createSocket();
    for (const name of ['send 1', 'send 2', 'edit', 'send 3', 'send 4']) void arrive(name, { roomId: 'a' });
    await turn();
    expect(begun).toEqual(['send 1', 'send 2']);

    await end('send 2');
    expect(begun).toEqual(['send 1', 'send 2']);
    await end('send 1');
    expect(begun).toEqual(['send 1', 'send 2', 'edit']);
    await end('edit');
    expect(begun).toEqual(['send 1', 'send 2', 'edit', 'send 3', 'send 4']);
  });

  it('holds up no other room', async () => {
    const { begun, arrive } = createSocket();
    void arrive('edit a', { roomId: 'a' });
    void arrive('edit a again', { roomId: 'a' });
    void arrive('edit b', { roomId: 'b' });
    await turn();

    expect(begun).toEqual(['edit a', 'edit b']);
  });

  it('begins at once if nothing is under way, and keeps nothing after the end', async () => {
    const { begun, turns, arrive, end } = createSocket();
    const done = arrive('send', { roomId: 'a', messageId: 'x' });
    expect(begun).toEqual(['send']);
    expect(turns.size).toBe(1);

    await end('send');
    expect(await done).toBe('send');
    expect(turns.size).toBe(0);
  });

  it('continues after a failed operation', async () => {
    const { begun, turns, arrive, end } = createSocket();
    const failing = turns.arrive([{ roomId: 'a', messageId: undefined, isSend: false }]);
    const failed = failing.take({ roomId: 'A' }, () => Promise.reject(new Error('no')));
    void arrive('edit', { roomId: 'a' });

    await expect(failed).rejects.toThrow('no');
    await turn();
    expect(begun).toEqual(['edit']);
    await end('edit');
  });

  it('continues after an operation that ended without a mutation', async () => {
    const { begun, turns, arrive } = createSocket();
    const refused = turns.arrive([{ roomId: 'a', messageId: undefined, isSend: false }]);
    void arrive('edit', { roomId: 'a' });
    expect(begun).toEqual([]);

    refused.leave();
    await turn();
    expect(begun).toEqual(['edit']);
  });

  it('looks up the room of a message, and lets later operations wait until it is known', async () => {
    const found: Record<string, (roomId: string | null) => void> = {};
    const find = (id: string) => new Promise<string | null>((resolve) => Object.assign(found, { [id]: resolve }));
    const { begun, arrive, end } = createSocket(find);
    void arrive('rename a', { roomId: 'a' });
    void arrive('edit x', { messageId: 'x' });
    void arrive('edit y', { messageId: 'y' });
    void arrive('send b', { roomId: 'b' });
    await turn();
    expect(begun).toEqual(['rename a']);

    found['y']?.('b');
    await turn();
    expect(begun).toEqual(['rename a']);
    found['x']?.('a');
    await turn();
    expect(begun).toEqual(['rename a', 'edit y']);
    await end('edit y');
    expect(begun).toEqual(['rename a', 'edit y', 'send b']);
    await end('rename a');
    expect(begun).toEqual(['rename a', 'edit y', 'send b', 'edit x']);
  });

  it('does not look up the room of a message that the same socket is sending', async () => {
    const { begun, arrive, end } = createSocket(async (id) => {
      throw new Error(`looked for ${id}`);
    });
    void arrive('send', { roomId: 'a', messageId: 'x' });
    void arrive('edit', { messageId: 'x' });
    await turn();
    expect(begun).toEqual(['send']);

    await end('send');
    expect(begun).toEqual(['send', 'edit']);
  });

  it('lets a mutation of an unknown message be refused at once, and fails one whose lookup failed', async () => {
    const { begun, arrive } = createSocket(async (id) => {
      if (id === 'lost') throw new Error('away');
      return null;
    });
    void arrive('edit nothing', { messageId: 'none' });
    await turn();
    expect(begun).toEqual(['edit nothing']);

    await expect(arrive('edit', { messageId: 'lost' })).rejects.toThrow('away');
    void arrive('send', { roomId: 'a' });
    await turn();
    expect(begun).toEqual(['edit nothing', 'send']);
  });

  it('keeps the order of operations that change several rooms, and frees each room when its own mutations have ended', async () => {
    const { begun, turns, arrive, arriveTogether, end } = createSocket();
    void arriveTogether(['send a', { roomId: 'a' }], ['send b', { roomId: 'b' }], ['edit b', { roomId: 'b' }]);
    void arrive('send a later', { roomId: 'a' });
    void arrive('send b later', { roomId: 'b' });
    await turn();
    expect(begun).toEqual(['send a']);

    await end('send a');
    expect(begun).toEqual(['send a', 'send a later', 'send b']);
    await end('send b');
    await end('edit b');
    expect(begun.slice(3)).toEqual(['edit b', 'send b later']);
    await end('send a later');
    await end('send b later');
    expect(turns.size).toBe(0);
  });
});
