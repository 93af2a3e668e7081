import { openIndexedDb } from '../storage/indexeddb.js';
import type { Environment, Lock, LockRequest, Page, PageEvent } from './environment.js';

/** What this reads of a browser; each may be missing in Node, React Native, an old browser, or on plain http. */
interface Globals {
  readonly document?: Document;
  readonly addEventListener?: typeof addEventListener;
  readonly removeEventListener?: typeof removeEventListener;
  readonly navigator?: { readonly locks?: LockManager };
  readonly crypto?: { getRandomValues?: Crypto['getRandomValues'] };
  readonly BroadcastChannel?: typeof BroadcastChannel;
  readonly WebSocket?: unknown;
  readonly fetch?: typeof fetch;
  readonly indexedDB?: unknown;
}

const globals = globalThis as unknown as Globals;

/** The surroundings of a browser, Node or React Native. Nothing global is touched before it is called. */
export function createEnvironment(changes: Partial<Environment> = {}): Environment {
  const locks = createLocalLocks();
  let isRefused = false;
  return {
    now: () => Date.now(),
    random: () => Math.random(),
    uuid: createUuid,
    setTimer: (run, ms) => {
      // A longer one would run at once.
      const timer = setTimeout(run, Math.min(ms, 2 ** 31 - 1));
      return () => clearTimeout(timer);
    },
    // Rejects where there is none; as a method of something else, browsers refuse it.
    fetch: async (input, init) => globalThis.fetch(input, init),
    WebSocket: globals.WebSocket,
    page: createPage(),
    lock: async (name, request = {}) => {
      const tabs = globals.navigator?.locks;
      if (tabs === undefined || isRefused) return locks(name, request);
      try {
        return await lockTabs(tabs, name, request);
      } catch {
        // In some iframes there are locks, and all are refused.
        isRefused = true;
        return locks(name, request);
      }
    },
    channel: openChannel,
    openStorage: openIndexedDb,
    ...changes,
  };
}

/** By `getRandomValues`, which plain http has as well, unlike `randomUUID`; Hermes has neither. */
function createUuid(): string {
  const bytes = new Uint8Array(16);
  if (globals.crypto?.getRandomValues !== undefined) globals.crypto.getRandomValues(bytes);
  else for (let index = 0; index < 16; index += 1) bytes[index] = Math.random() * 256;
  bytes[6] = ((bytes[6] as number) & 15) | 64;
  bytes[8] = ((bytes[8] as number) & 63) | 128;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function createPage(): Page {
  const { document, addEventListener: add, removeEventListener: remove } = globals;
  return {
    isVisible: () => document?.visibilityState !== 'hidden',
    isFocused: () => document?.hasFocus?.() ?? true,
    listen: (listener) => {
      if (add === undefined || remove === undefined) return () => undefined;
      const visibility = (): PageEvent => (document?.visibilityState === 'hidden' ? 'hidden' : 'shown');
      const names: readonly [string, () => PageEvent][] = [
        ['online', () => 'online'],
        ['offline', () => 'offline'],
        ['focus', () => 'focused'],
        ['blur', () => 'blurred'],
        ['pagehide', () => 'leaving'],
        ['pageshow', visibility],
      ];
      const handlers = names.map(([name, toEvent]) => [name, () => listener(toEvent())] as const);
      const tell = () => listener(visibility());
      for (const [name, run] of handlers) add(name, run);
      document?.addEventListener?.('visibilitychange', tell);
      return () => {
        for (const [name, run] of handlers) remove(name, run);
        document?.removeEventListener?.('visibilitychange', tell);
      };
    },
  };
}

function openChannel(name: string, listener: (message: unknown) => void) {
  if (globals.BroadcastChannel === undefined) return { post: () => undefined, close: () => undefined };
  const channel = new globals.BroadcastChannel(name);
  // In Node, an open channel would keep the process alive.
  (channel as { unref?: () => void }).unref?.();
  channel.onmessage = ({ data }) => listener(data);
  let isOpen = true;
  return {
    post: (message: unknown) => {
      if (isOpen) channel.postMessage(message);
    },
    close: () => {
      isOpen = false;
      channel.close();
    },
  };
}

/** A lock of the Web Locks API, as an object. Rejects if the browser gives none. */
async function lockTabs(locks: LockManager, name: string, request: LockRequest): Promise<Lock | undefined> {
  const { stealAfterMs, ifAvailable, signal } = request;
  if (ifAvailable === true) return hold(locks, name, { ifAvailable: true });
  if (stealAfterMs === undefined) return hold(locks, name, signal === undefined ? {} : { signal });
  const waiting = new AbortController();
  const abort = () => waiting.abort();
  signal?.addEventListener('abort', abort);
  const timer = setTimeout(abort, stealAfterMs);
  const lock = await hold(locks, name, { signal: waiting.signal });
  clearTimeout(timer);
  signal?.removeEventListener('abort', abort);
  if (lock !== undefined || signal?.aborted === true) return lock;
  const tooLate = new Promise<never>((_, reject) => setTimeout(reject, stealWithinMs, new Error('No lock is given')));
  tooLate.catch(() => undefined);
  return Promise.race([hold(locks, name, { steal: true }), tooLate]);
}

/** A lock is stolen at once, where there are locks at all. */
const stealWithinMs = 2_000;

function hold(locks: LockManager, name: string, options: LockOptions): Promise<Lock | undefined> {
  return new Promise((resolve, reject) => {
    let isHeld = false;
    const held = (granted: unknown) => {
      if (granted === null) return undefined;
      isHeld = true;
      return new Promise<void>((release) => {
        resolve({
          isHeld: () => isHeld,
          release: () => {
            isHeld = false;
            release();
          },
        });
      });
    };
    // Rejects if the request was aborted, if the lock was stolen, and where the browser gives none.
    locks.request(name, options, held).then(
      () => resolve(undefined),
      (error: unknown) => {
        isHeld = false;
        if ((error as { name?: unknown } | null)?.name === 'AbortError') resolve(undefined);
        else reject(error);
      },
    );
  });
}

/** Locks within this page, where the browser has none: on plain http, in Node and React Native. */
export function createLocalLocks(): (name: string, request: LockRequest) => Promise<Lock | undefined> {
  const holders = new Map<string, { waiting: (() => void)[] }>();
  return (name, { ifAvailable, signal }) => {
    const grant = (): Lock => {
      let isHeld = true;
      holders.set(name, holders.get(name) ?? { waiting: [] });
      return {
        isHeld: () => isHeld,
        release: () => {
          if (!isHeld) return;
          isHeld = false;
          const next = holders.get(name)?.waiting.shift();
          if (next === undefined) holders.delete(name);
          else next();
        },
      };
    };
    const holder = holders.get(name);
    if (holder === undefined) return Promise.resolve(grant());
    if (ifAvailable === true || signal?.aborted === true) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const enter = () => {
        signal?.removeEventListener('abort', leave);
        resolve(grant());
      };
      const leave = () => {
        holder.waiting.splice(holder.waiting.indexOf(enter), 1);
        resolve(undefined);
      };
      holder.waiting.push(enter);
      signal?.addEventListener('abort', leave, { once: true });
    });
  };
}
