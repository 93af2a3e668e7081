import type { Environment, Lock, LockRequest, PageEvent } from '../src/environment/environment.js';
import type { KeyValueStore, StoreName } from '../src/storage/key-value.js';
import { createMemoryStore } from '../src/storage/memory.js';
import type { ModelServer } from './model-server.js';
import { SimulatedNetwork } from './simulated-network.js';
import type { VirtualClock } from './virtual-clock.js';

interface LockHolder {
  readonly tab: SimulatedTab;
  isHeld: boolean;
}

/** A browser on one device: its tabs share storage, locks and channels, and end without notice. */
export class SimulatedBrowser {
  readonly tabs: SimulatedTab[] = [];
  readonly #disk = new Map<string, KeyValueStore>();
  readonly #locks = new Map<string, { holder: LockHolder | undefined; queue: (() => void)[] }>();
  readonly #channels = new Set<{ readonly name: string; readonly tab: SimulatedTab; hear(message: unknown): void }>();
  /** Whether there is a database: not in private mode. */
  isStorageThere = true;
  /** Whether there is no room for files. */
  isFull = false;
  /** How long its disk takes for the next answer, in ms. */
  diskMs: () => number = () => 0;

  constructor(
    readonly clock: VirtualClock,
    readonly server: ModelServer,
    readonly random: () => number,
  ) {}

  openTab(): SimulatedTab {
    const tab = new SimulatedTab(this);
    this.tabs.push(tab);
    return tab;
  }

  /** @internal */
  dropTab(tab: SimulatedTab): void {
    this.tabs.splice(this.tabs.indexOf(tab), 1);
    for (const channel of this.#channels) if (channel.tab === tab) this.#channels.delete(channel);
    for (const name of this.#locks.keys()) if (this.#locks.get(name)?.holder?.tab === tab) this.#release(name);
  }

  /** @internal */
  lock(tab: SimulatedTab, name: string, { ifAvailable, stealAfterMs, signal }: LockRequest): Promise<Lock | undefined> {
    const state = this.#locks.get(name) ?? { holder: undefined, queue: [] };
    this.#locks.set(name, state);
    const grant = (): Lock => {
      const holder = { tab, isHeld: true };
      state.holder = holder;
      return {
        isHeld: () => holder.isHeld,
        release: () => {
          if (!holder.isHeld) return;
          holder.isHeld = false;
          this.#release(name);
        },
      };
    };
    if (state.holder === undefined) return Promise.resolve(grant());
    if (ifAvailable === true || signal?.aborted === true) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const abort = () => {
        leave();
        resolve(undefined);
      };
      const enter = () => {
        cancel();
        signal?.removeEventListener('abort', abort);
        if (tab.isDead) this.#release(name);
        else resolve(grant());
      };
      const leave = () => {
        cancel();
        signal?.removeEventListener('abort', abort);
        const index = state.queue.indexOf(enter);
        if (index !== -1) state.queue.splice(index, 1);
      };
      const steal = () => {
        leave();
        if (state.holder !== undefined) state.holder.isHeld = false;
        resolve(grant());
      };
      const cancel = stealAfterMs === undefined ? () => undefined : tab.setTimer(steal, stealAfterMs);
      state.queue.push(enter);
      signal?.addEventListener('abort', abort);
    });
  }

  /** @internal */
  openChannel(tab: SimulatedTab, name: string, listener: (message: unknown) => void) {
    const channel = { name, tab, hear: (message: unknown) => tab.run(() => listener(message)) };
    this.#channels.add(channel);
    return {
      post: (message: unknown) => {
        const copy = JSON.parse(JSON.stringify(message));
        for (const other of this.#channels) {
          if (other !== channel && other.name === name) this.clock.setTimer(() => other.hear(copy), 1);
        }
      },
      close: () => this.#channels.delete(channel),
    };
  }

  /** @internal */
  async openStorage(tab: SimulatedTab, name: string): Promise<KeyValueStore> {
    if (!this.isStorageThere) throw new Error('No storage in private mode');
    const store = this.#disk.get(name) ?? withBlobs(createMemoryStore());
    this.#disk.set(name, store);
    let answersAt = 0;
    let isClosed = false;
    /** A tab that has ended changes nothing any more, and gets no answer. Answers come in the order of the questions. */
    const alive = <Value>(run: () => Promise<Value>): Promise<Value> => {
      if (tab.isDead) return new Promise(() => undefined);
      if (isClosed || tab.isStorageFailing) return Promise.reject(new Error('The database fails'));
      const value = run();
      answersAt = Math.max(answersAt, this.clock.now + this.diskMs());
      const ms = answersAt - this.clock.now;
      return ms === 0 ? value : new Promise((resolve) => tab.setTimer(() => resolve(value), ms));
    };
    return {
      get: (part: StoreName, key) => alive(() => store.get(part, key)),
      entries: (part) => alive(() => store.entries(part)),
      put: (part, key, value) => {
        if (part === 'files' && this.isFull) return Promise.reject(new Error('QuotaExceededError'));
        return alive(() => store.put(part, key, value));
      },
      append: (value) => alive(() => store.append(value)),
      delete: (part, key) => alive(() => store.delete(part, key)),
      erase: () => store.erase(),
      close: () => {
        isClosed = true;
      },
      onLost: () => undefined,
    };
  }

  /** All that is stored, to look for what should not be. */
  async readDisk(): Promise<string> {
    const parts: StoreName[] = ['rooms', 'logs', 'drafts', 'outbox', 'facts'];
    const read = async (store: KeyValueStore) => Promise.all(parts.map((part) => store.entries(part)));
    return JSON.stringify(await Promise.all([...this.#disk.values()].map(read)));
  }

  #release(name: string): void {
    const state = this.#locks.get(name);
    if (state === undefined) return;
    state.holder = undefined;
    state.queue.shift()?.();
  }
}

/** Files as they are: JSON would make nothing of them. */
function withBlobs(store: KeyValueStore): KeyValueStore {
  const files = new Map<IDBValidKey, unknown>();
  return {
    ...store,
    get: async (part, key) => (part === 'files' ? files.get(key) : store.get(part, key)),
    entries: async (part) => (part === 'files' ? [...files] : store.entries(part)),
    put: async (part, key, value) => {
      if (part === 'files') files.set(key, value);
      else await store.put(part, key, value);
    },
    delete: async (part, key) => {
      files.delete(key);
      if (part !== 'files') await store.delete(part, key);
    },
    erase: async () => {
      files.clear();
      await store.erase();
    },
  };
}

/** One tab with its own way to the server. */
export class SimulatedTab {
  readonly network: SimulatedNetwork;
  readonly environment: Environment;
  isDead = false;
  #isFrozen = false;
  #isVisible = true;
  readonly #timers = new Set<() => void>();
  /** What waits for the tab to thaw. */
  #held: (() => void)[] = [];
  readonly #pageListeners = new Set<(event: PageEvent) => void>();
  /** How far this device's clock is off. */
  clockOffMs = 0;
  /** Whether its database refuses everything. */
  isStorageFailing = false;

  constructor(private readonly browser: SimulatedBrowser) {
    const { clock, random } = browser;
    this.network = new SimulatedNetwork(clock, browser.server, random, (run) => this.run(run));
    const { network } = this;
    const never = <Value>() => new Promise<Value>(() => undefined);
    this.environment = {
      now: () => clock.now + this.clockOffMs,
      random,
      uuid: () => browser.server.newId(),
      setTimer: (run, ms) => this.setTimer(run, ms),
      fetch: (input, init) => (this.isDead ? never() : network.fetch(String(input), init ?? {})),
      WebSocket: network.WebSocket,
      page: {
        isVisible: () => this.#isVisible,
        isFocused: () => this.#isVisible,
        listen: (listener) => {
          this.#pageListeners.add(listener);
          return () => this.#pageListeners.delete(listener);
        },
      },
      lock: (name, request = {}) => (this.isDead ? never() : browser.lock(this, name, request)),
      channel: (name, listener) => browser.openChannel(this, name, listener),
      openStorage: (name) => (this.isDead ? never() : browser.openStorage(this, name)),
    };
  }

  /** The number of listeners of the page: none may be left when a client is closed. */
  get pageListeners(): number {
    return this.#pageListeners.size;
  }

  /** Runs something of this tab: later if it is frozen, never if it has ended. */
  run(run: () => void): void {
    if (this.isDead) return;
    if (this.#isFrozen) this.#held.push(run);
    else run();
  }

  /** @internal */
  setTimer(run: () => void, ms: number): () => void {
    if (this.isDead) return () => undefined;
    let isCancelled = false;
    const cancel = this.browser.clock.setTimer(() => {
      this.#timers.delete(end);
      this.run(() => !isCancelled && run());
    }, ms);
    const end = () => {
      isCancelled = true;
      this.#timers.delete(end);
      cancel();
    };
    this.#timers.add(end);
    return end;
  }

  tell(event: PageEvent): void {
    if (event === 'shown') this.#isVisible = true;
    if (event === 'hidden') this.#isVisible = false;
    this.run(() => {
      for (const listener of [...this.#pageListeners]) listener(event);
    });
  }

  freeze(): void {
    this.#isFrozen = true;
  }

  thaw(): void {
    this.#isFrozen = false;
    const held = this.#held;
    this.#held = [];
    for (const run of held) this.run(run);
  }

  /** Ends the tab at once, as a crash or a reload does. */
  kill(): void {
    this.isDead = true;
    for (const cancel of [...this.#timers]) cancel();
    this.network.drop();
    this.browser.dropTab(this);
  }
}
