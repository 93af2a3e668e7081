import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Changes } from '../../src/db/changes.js';
import type { Connection } from '../../src/db/connection.js';
import { LockedError } from '../../src/db/database-errors.js';

const [writes, waits] = ['writes', 'waits'] as unknown as [Connection, Connection];

/** Changes on two connections for writes and two for waiting. A change ends when the test calls `end`. */
function createChanges() {
  const changes = new Changes({ connection: writes, size: 2 }, { connection: waits, size: 2 });
  const begun: string[] = [];
  const ends = new Map<string, (error?: Error) => void>();
  const workOf = (name: string) => (connection: Connection) =>
    new Promise<string>((resolve, reject) => {
      begun.push(`${name} on ${connection}`);
      ends.set(name, (error) => (error === undefined ? resolve(name) : reject(error)));
    });
  return {
    begun,
    change(user: number, what: string, name: string, onHeldUp?: () => void) {
      const done = changes.change(what, workOf(name), { user, onHeldUp });
      done.catch(() => undefined);
      return done;
    },
    wait(what: string, name: string) {
      const done = changes.wait(what, workOf(name));
      done.catch(() => undefined);
      return done;
    },
    async end(name: string, error?: Error) {
      for (let round = 0; round < 3; round += 1) await turn();
      ends.get(name)?.(error);
      for (let round = 0; round < 3; round += 1) await turn();
    },
  };
}

describe('changes', () => {
  it('use half of the connections for one user, and leave one for another', async () => {
    const { begun, change, end } = createChanges();
    for (const number of [1, 2, 3]) void change(4, `room ${number}`, `a${number}`);
    void change(5, 'room 4', 'b');
    await turn();
    expect(begun).toEqual(['a1 on writes', 'b on writes']);
    await end('a1');
    expect(begun.at(-1)).toBe('a2 on writes');
  });

  it('run one at a time for each resource, and users take turns', async () => {
    const { begun, change, end } = createChanges();
    for (const name of ['a1', 'a2', 'a3', 'a4']) void change(4, 'room', name);
    void change(5, 'room', 'b');
    for (const name of ['a1', 'a2', 'b', 'a3', 'a4']) await end(name);
    expect(begun).toEqual(['a1', 'a2', 'b', 'a3', 'a4'].map((name) => `${name} on writes`));
  });

  it('do not hold up other changes of their user while a resource is locked, and are all refused at once if it stays locked', async () => {
    const { begun, change, end } = createChanges();
    const locked = change(4, 'locked', 'a1');
    const behind = [change(4, 'locked', 'a2'), change(5, 'locked', 'b')];
    void change(4, 'free', 'a3');
    await end('a1', new LockedError());
    expect(begun).toEqual(['a1 on writes', 'a1 on waits', 'a3 on writes']);
    await end('a1', new LockedError());
    for (const refused of [locked, ...behind]) await expect(refused).rejects.toBeInstanceOf(LockedError);
    void change(4, 'locked', 'again');
    expect(begun).toHaveLength(3);
    await end('a3');
    expect(begun.at(-1)).toBe('again on writes');
  });

  it('run after the work that waits because their resource was locked', async () => {
    const { begun, change, wait, end } = createChanges();
    void change(4, 'room', 'a1');
    void change(4, 'room', 'a2');
    void wait('room', 'send');
    for (const name of ['a1', 'send']) await end(name);
    expect(begun).toEqual(['a1 on writes', 'send on waits', 'a2 on writes']);
  });

  it('are refused if too many wait for one resource', async () => {
    const { change } = createChanges();
    for (let user = 0; user < 257; user += 1) void change(user, 'room', `${user}`);
    await expect(change(257, 'room', 'last')).rejects.toMatchObject({ code: 'RATE_LIMITED' });
  });
});

describe('changes, in time', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('do not wait for ever', async () => {
    const { begun, change } = createChanges();
    void change(4, 'room', 'a1');
    const late = change(5, 'room', 'b');
    await vi.advanceTimersByTimeAsync(11_000);
    await expect(late).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(begun).toEqual(['a1 on writes']);
  });

  it('notify their caller if they wait for a resource that others hold, but not if they wait for a connection', async () => {
    const { change } = createChanges();
    void change(4, 'room', 'a1');
    const [heldUp, queued] = [vi.fn(), vi.fn()];
    void change(5, 'room', 'b', heldUp);
    void change(4, 'other room', 'a2', queued);
    await vi.advanceTimersByTimeAsync(200);
    expect(heldUp).toHaveBeenCalledOnce();
    expect(queued).not.toHaveBeenCalled();
  });
});
