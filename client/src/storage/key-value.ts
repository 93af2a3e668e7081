/** The parts of the storage, each a map of its own. */
export const storeNames = ['rooms', 'logs', 'drafts', 'outbox', 'facts', 'files'] as const;
export type StoreName = (typeof storeNames)[number];

/** Storage as the client needs it: small maps of structured values. Everything rejects once the storage has failed. */
export interface KeyValueStore {
  get(store: StoreName, key: IDBValidKey): Promise<unknown>;
  /** All keys with their values, in the order of the keys. */
  entries(store: StoreName): Promise<[IDBValidKey, unknown][]>;
  put(store: StoreName, key: IDBValidKey, value: unknown): Promise<void>;
  /** Adds a value to `outbox` under a number larger than all before, in all tabs; resolves with it. */
  append(value: unknown): Promise<number>;
  delete(store: StoreName, key: IDBValidKey): Promise<void>;
  /** Removes everything for good and closes. */
  erase(): Promise<void>;
  close(): void;
  /** Called if the storage is taken away: another tab deletes or upgrades it, or the browser evicts it. */
  onLost(listener: () => void): void;
}
