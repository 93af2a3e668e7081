import 'fake-indexeddb/auto';
import { IDBFactory } from 'fake-indexeddb';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openIndexedDb } from '../src/storage/indexeddb.js';
import type { KeyValueStore } from '../src/storage/key-value.js';
import { createMemoryStore } from '../src/storage/memory.js';
import { openStorage } from '../src/storage/storage.js';
import { Simulation } from './simulation.js';

describe.each([
  ['IndexedDB', (): Promise<KeyValueStore> => openIndexedDb('test')],
  ['memory', async (): Promise<KeyValueStore> => createMemoryStore()],
])('storage in %s', (_name, open) => {
  afterEach(() => vi.unstubAllGlobals());

  it('keeps values by their keys, and numbers what is appended in order', async () => {
    vi.stubGlobal('indexedDB', new IDBFactory());
    const store = await open();
    await store.put('drafts', 'a', 'text');
    expect(await store.get('drafts', 'a')).toBe('text');
    expect(await store.get('drafts', 'b')).toBeUndefined();
    const keys = [await store.append({ n: 1 }), await store.append({ n: 2 }), await store.append({ n: 3 })];
    expect([...keys].sort((a, b) => a - b)).toEqual(keys);
    await store.delete('outbox', keys[1] as number);
    expect(await store.entries('outbox')).toEqual([
      [keys[0], { n: 1 }],
      [keys[2], { n: 3 }],
    ]);
    // A number is never used again, or two tabs would take one operation for another.
    await store.delete('outbox', keys[2] as number);
    expect(await store.append({ n: 4 })).toBeGreaterThan(keys[2] as number);
    store.close();
  });

  it('erases everything', async () => {
    vi.stubGlobal('indexedDB', new IDBFactory());
    const store = await open();
    await store.put('logs', 'a', 'secret');
    await store.erase();
    const again = await open();
    expect(await again.entries('logs')).toEqual([]);
    again.close();
  });
});

describe('storage that fails', () => {
  const failing = (): KeyValueStore & { isFull: boolean } => {
    const store = createMemoryStore();
    const guard = <Value>(value: () => Promise<Value>): Promise<Value> =>
      broken.isFull ? Promise.reject(new Error('QuotaExceededError')) : value();
    const broken = {
      ...store,
      isFull: false,
      get: (...args: Parameters<KeyValueStore['get']>) => guard(() => store.get(...args)),
      entries: (...args: Parameters<KeyValueStore['entries']>) => guard(() => store.entries(...args)),
      put: (...args: Parameters<KeyValueStore['put']>) => guard(() => store.put(...args)),
      append: (value: unknown) => guard(() => store.append(value)),
      delete: (...args: Parameters<KeyValueStore['delete']>) => guard(() => store.delete(...args)),
    };
    return broken;
  };

  it('goes on in memory with what it had, and says so once', async () => {
    const { environment } = new Simulation().open().tab;
    const store = failing();
    const onLost = vi.fn();
    await store.append({ n: 1 });
    const storage = await openStorage({ ...environment, openStorage: async () => store }, 'test', onLost);
    await storage.append({ n: 2 });
    await storage.put('drafts', 'a', 'text');
    expect(storage.isDurable()).toBe(true);
    store.isFull = true;
    const third = await storage.append({ n: 3 });
    expect(storage.isDurable()).toBe(false);
    expect(onLost).toHaveBeenCalledOnce();
    expect((await storage.entries('outbox')).map(([, value]) => value)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    expect(third).toBeGreaterThan(2);
    expect(await storage.get('drafts', 'a')).toBe('text');
  });

  it('takes nothing from other tabs when it is back, and brings all that was done meanwhile', async () => {
    const simulation = new Simulation();
    const { environment } = simulation.open().tab;
    const store = failing();
    const open = async () => store;
    const onChange = vi.fn();
    const [one, other] = [
      await openStorage({ ...environment, openStorage: open }, 'test', onChange),
      await openStorage({ ...environment, openStorage: open }, 'test', () => undefined),
    ];
    const first = await one.append({ n: 1 });
    store.isFull = true;
    await one.append({ n: 2 });
    await one.delete('outbox', first);
    store.isFull = false;
    await other.append({ n: 3 });
    // Written while the database is given what it lacks.
    const put = store.put.bind(store);
    store.put = async (...args) => {
      store.put = put;
      await one.append({ n: 4 });
      await put(...args);
    };
    await simulation.clock.until(() => onChange.mock.calls.at(-1)?.[0] === true, 10_000);
    const values = (await one.entries('outbox')).map(([, value]) => value as { n: number });
    expect(values.map(({ n }) => n).sort()).toEqual([2, 3, 4]);
    expect(values.findIndex(({ n }) => n === 2)).toBeLessThan(values.findIndex(({ n }) => n === 4));
  });

  it.each([
    ['is refused', () => Promise.reject(new Error('private mode'))],
    ['is blocked by an old tab', () => new Promise<never>(() => undefined)],
  ])('works in memory when the database %s', async (_name, open) => {
    const simulation = new Simulation();
    const { environment } = simulation.open().tab;
    const onLost = vi.fn();
    const opening = openStorage({ ...environment, openStorage: open }, 'test', onLost);
    await simulation.clock.advance(5_000);
    const storage = await opening;
    expect(onLost).toHaveBeenCalledOnce();
    await storage.append({ n: 1 });
    expect((await storage.entries('outbox')).map(([, value]) => value)).toEqual([{ n: 1 }]);
  });

  it('lets go of the database when another tab erases it', async () => {
    vi.stubGlobal('indexedDB', new IDBFactory());
    const { environment } = new Simulation().open().tab;
    const onLost = vi.fn();
    const storage = await openStorage({ ...environment, openStorage: openIndexedDb }, 'test', onLost);
    await storage.append({ n: 1 });
    await (await openIndexedDb('test')).erase();
    expect(onLost).toHaveBeenCalledOnce();
    expect((await storage.entries('outbox')).map(([, value]) => value)).toEqual([{ n: 1 }]);
    vi.unstubAllGlobals();
  });
});
