import { describe, expect, it, vi } from 'vitest';
import { GroupCommit } from '../../src/db/group-commit.js';

interface Item {
  readonly room: string;
  readonly number: number;
}

class Locked extends Error {}

/** Commits that end when the test calls `endAll`; `flushes` lists the items of each. */
function createCommits({ failing = [] as readonly number[], uncertain = false } = {}) {
  const flushes: (readonly number[])[] = [];
  /** Rooms that somebody else holds. */
  const held = new Set<string>();
  /** The items that wait for such rooms. */
  const waits: { readonly numbers: readonly number[]; readonly end: () => void; readonly giveUp: () => void }[] = [];
  const ends: (() => void)[] = [];
  const commit = (items: readonly Item[]): Promise<string[]> => {
    flushes.push(items.map(({ number }) => number));
    return new Promise((resolve, reject) => {
      const bad = items.find(({ number }) => failing.includes(number));
      ends.push(() =>
        bad ? reject(new Error(`bad ${bad.number}`)) : resolve(items.map(({ number }) => `done ${number}`)),
      );
    });
  };
  const writeMany = async (items: readonly Item[]) => {
    const left = items.filter(({ room }) => !held.has(room));
    const answers = await commit(left);
    return items.map((item) => answers[left.indexOf(item)] ?? new Locked('locked'));
  };
  const many = vi.fn(writeMany);
  const wait = (items: readonly Item[]) =>
    new Promise<string[]>((resolve, reject) => {
      const numbers = items.map(({ number }) => number);
      const end = () => resolve(numbers.map((number) => `done ${number} at last`));
      waits.push({ numbers, end, giveUp: () => reject(new Locked('locked for good')) });
    });
  const group = new GroupCommit<Item, string>({
    atOnce: { one: async (item) => (await writeMany([item]))[0] as string, many },
    patiently: { one: async (item) => (await wait([item]))[0] as string, many: wait },
    isLocked: (error) => error instanceof Locked,
    queueOf: ({ room }) => room,
    isUncertain: () => uncertain,
  });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return {
    flushes,
    held,
    waits,
    many,
    settle,
    send: (number: number, room = 'a') => group.submit({ room, number }).catch((error: Error) => error.message),
    async endAll() {
      for (let end = ends.shift(); end !== undefined; end = ends.shift()) {
        end();
        await settle();
      }
    },
  };
}

describe('GroupCommit', () => {
  it('writes the first item at once, and all that arrived meanwhile with the next commit', async () => {
    const { flushes, many, send, endAll } = createCommits();
    const answers = [1, 2, 3, 4].map((number) => send(number));
    expect(flushes).toEqual([[1]]);

    await endAll();

    expect(flushes).toEqual([[1], [2, 3, 4]]);
    expect(many).toHaveBeenCalledTimes(1);
    expect(await Promise.all(answers)).toEqual(['done 1', 'done 2', 'done 3', 'done 4']);
  });

  it('starts the next commit before it resolves the items of the last', async () => {
    const { flushes, send, endAll } = createCommits();
    const seen: number[] = [];
    const answers = [1, 2, 3].map((number) => send(number).then(() => seen.push(flushes.length)));

    await endAll();
    await Promise.all(answers);

    expect(seen).toEqual([2, 2, 2]);
  });

  it('keeps the order of a room, and lets rooms take turns if more waits than fits into one commit', async () => {
    const { flushes, send, endAll } = createCommits();
    void send(0);
    for (let number = 1; number <= 1_000; number += 1) void send(number, 'busy');
    for (let number = 1_001; number <= 1_010; number += 1) void send(number, `quiet ${number}`);

    await endAll();

    const [, second = [], ...others] = flushes;
    expect(second).toHaveLength(256);
    expect(second.filter((number) => number > 1_000)).toHaveLength(10);
    const busy = [second, ...others].flat().filter((number) => number <= 1_000);
    expect(busy).toEqual([...busy].sort((a, b) => a - b));
    expect(busy).toHaveLength(1_000);
  });

  it('gives each item its own result if one makes the commit fail', async () => {
    const { flushes, send, endAll } = createCommits({ failing: [3] });
    const answers = [1, 2, 3, 4].map((number) => send(number));

    await endAll();

    expect(flushes).toEqual([[1], [2, 3, 4], [2], [3], [4]]);
    expect(await Promise.all(answers)).toEqual(['done 1', 'done 2', 'bad 3', 'done 4']);
  });

  it('retries nothing if it is not known what was written', async () => {
    const { flushes, send, endAll } = createCommits({ failing: [3], uncertain: true });
    const answers = [1, 2, 3].map((number) => send(number));

    await endAll();

    expect(flushes).toEqual([[1], [2, 3]]);
    expect(await Promise.all(answers)).toEqual(['done 1', 'bad 3', 'bad 3']);
  });

  it('does not keep other rooms waiting behind a commit that takes long', async () => {
    const { flushes, send, endAll } = createCommits();
    void send(1, 'locked');
    void send(2, 'locked');
    void send(3, 'free');
    await expect.poll(() => flushes).toEqual([[1], [3]]);

    await endAll();

    // The next item of the slow room keeps its place.
    expect(flushes).toEqual([[1], [3], [2]]);
  });

  describe('with a room that somebody else holds', () => {
    it('writes the items of all other rooms, and waits with those of this room', async () => {
      const { flushes, held, waits, send, settle, endAll } = createCommits();
      const first = send(1);
      held.add('locked');
      const others = [send(2, 'locked'), send(3), send(4, 'locked'), send(5, 'free')];

      await endAll();

      expect(await Promise.all([first, others[1], others[3]])).toEqual(['done 1', 'done 3', 'done 5']);
      expect(flushes).toEqual([[1], [3, 5]]);
      expect(waits.map(({ numbers }) => numbers)).toEqual([[2, 4]]);
      // A new item keeps its place behind those that wait.
      const later = send(6, 'locked');
      await settle();
      expect(flushes).toHaveLength(2);
      held.clear();
      waits[0]?.end();
      await settle();
      await endAll();
      expect(await Promise.all([others[0], others[2], later])).toEqual(['done 2 at last', 'done 4 at last', 'done 6']);
    });

    it('refuses all waiting items if the room stays locked, and tries the next one on its own', async () => {
      const { flushes, held, waits, send, settle, endAll } = createCommits();
      const first = send(1);
      held.add('locked');
      const refused = [send(2, 'locked'), send(3, 'free')];
      await endAll();
      refused.push(send(4, 'locked'));
      waits[0]?.giveUp();

      expect(await Promise.all([first, ...refused])).toEqual([
        'done 1',
        'locked for good',
        'done 3',
        'locked for good',
      ]);
      const next = send(5, 'locked');
      expect(waits.map(({ numbers }) => numbers)).toEqual([[2], [5]]);
      held.clear();
      waits[1]?.end();
      expect(await next).toBe('done 5 at last');
      await settle();
      const free = send(6, 'locked');
      await endAll();
      expect(await free).toBe('done 6');
      expect(flushes).toEqual([[1], [3], [6]]);
    });
  });

  it('goes on after a failure', async () => {
    const { send, endAll } = createCommits({ failing: [1] });
    const first = send(1);
    await endAll();
    const second = send(2);
    await endAll();

    expect([await first, await second]).toEqual(['bad 1', 'done 2']);
  });
});
