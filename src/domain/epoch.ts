/** The start of an epoch of a room's log. Up to `seq` the log is the same as in the previous epoch. */
export interface EpochStart {
  /** A UUID of version 7: the greater of two epochs is the newer one. */
  readonly epoch: string;
  readonly seq: number;
}

/** The stored epochs of one room's log, the oldest first; the last one is the current one. */
export type Epochs = readonly EpochStart[];

export const presentEpoch = (epochs: Epochs): string => epochs.at(-1)?.epoch ?? '';

/** The last position up to which the log of `epoch` equals the current one: infinity if `epoch` is the current one. */
export function commonSeq(epochs: Epochs, epoch: string): number {
  const place = epochs.findIndex((one) => one.epoch === epoch);
  if (place === -1) return 0;
  return epochs[place + 1]?.seq ?? Number.POSITIVE_INFINITY;
}

/** The newest epoch that this process knows of. */
export interface EpochWatch {
  /** Empty until the database has answered for the first time. */
  readonly present: string;
  /** Runs `action` each time the epoch changes, but not for the first one. */
  onChange(action: () => void): void;
  /** Reports an epoch that another instance has seen. From then on, no database connection in an earlier epoch is used. */
  note(epoch: string): void;
}
