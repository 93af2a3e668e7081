/** Where the log of a room stood when an epoch began. Up to there it is the same as in the epoch before. */
export interface EpochStart {
  /** A UUID of version 7: of two epochs, the greater is the newer one. */
  readonly epoch: string;
  readonly seq: number;
}

/** The epochs of one room's log that are remembered, the oldest first; the last one is the present one. */
export type Epochs = readonly EpochStart[];

export const presentEpoch = (epochs: Epochs): string => epochs.at(-1)?.epoch ?? '';

/** Up to where the log as it was in that epoch and the present one are the same: all of it where that is the present one. */
export function commonSeq(epochs: Epochs, epoch: string): number {
  const place = epochs.findIndex((one) => one.epoch === epoch);
  if (place === -1) return 0;
  return epochs[place + 1]?.seq ?? Number.POSITIVE_INFINITY;
}

/** The newest epoch that this process has heard of. */
export interface EpochWatch {
  /** Empty until the database has answered anything. */
  readonly present: string;
  /** Runs each time it becomes another one, not with the first. */
  onChange(action: () => void): void;
  /** Another instance has seen the database in this one: from here on none is used that is in an earlier one. */
  note(epoch: string): void;
}
