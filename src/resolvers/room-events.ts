import type { LogHead } from '../db/room-views.js';
import { commonSeq, presentEpoch } from '../domain/epoch.js';
import { ChatError } from '../domain/errors.js';
import { parseUuid } from '../domain/ids.js';
import type { RoomEvent } from '../domain/room-event.js';
import type { LogEntry } from '../domain/room-log.js';
import { filterSource, type Source } from '../domain/source.js';
import type { Viewer } from '../domain/viewer.js';
import type { CursorOptions } from '../pubsub/live/room/room-cursor.js';
import { readMark, type StateSubscription } from '../pubsub/live/room/room-states.js';
import type { Deps } from './deps.js';
import { found, loadMemberHead } from './loaders.js';

export interface WatchRoomInput {
  readonly roomId: string;
  readonly afterSeq?: number | null | undefined;
  /** The epoch of `afterSeq`. */
  readonly epoch?: string | null | undefined;
}

/** How a subscription gets read marks: an event for each, one for all that moved, or none. */
export type ReadDelivery = 'EACH' | 'BATCHED' | 'NONE';

const statesOf: Readonly<Record<ReadDelivery, readonly StateSubscription[]>> = {
  EACH: [{ kind: readMark, delivery: 'each' }],
  BATCHED: [{ kind: readMark, delivery: 'batched' }],
  NONE: [],
};

/**
 * All events of the room after `afterSeq`, or from now on: each entry once and in order, then live without a gap. Read marks
 * come only live.
 * @throws {ChatError} NOT_FOUND if the viewer is not a member; the source throws FORBIDDEN when the membership ends
 */
export async function watchRoom(
  deps: Deps,
  viewer: Viewer,
  { reads, ...input }: WatchRoomInput & { readonly reads?: ReadDelivery | null | undefined },
  isBehind: () => boolean,
): Promise<Source<RoomEvent>> {
  const states = statesOf[reads ?? 'EACH'];
  return watch(deps, viewer, input, { graceMs: deps.limits.epochGraceMs, mayResync: true, states, isBehind });
}

interface WatchOptions extends Pick<CursorOptions, 'mayResync' | 'states' | 'isBehind'> {
  /** How long an epoch counts as new: a client that resumes without an epoch may have lost entries then. */
  readonly graceMs: number;
}

async function watch(
  deps: Deps,
  viewer: Viewer,
  { roomId, afterSeq, epoch }: WatchRoomInput,
  { graceMs, mayResync, states, isBehind }: WatchOptions,
): Promise<Source<RoomEvent>> {
  const { feeds, limits } = deps;
  const id = parseUuid(roomId, 'roomId');
  const epochId = epoch == null ? undefined : parseUuid(epoch, 'epoch');
  if (afterSeq != null && afterSeq < 0) throw new ChatError('BAD_USER_INPUT', 'afterSeq must not be negative');

  return feeds.subscribe(id, async () => {
    const log = found(await loadMemberHead(deps, viewer, id));
    return {
      viewerId: viewer.userId,
      head: log.seq,
      epoch: presentEpoch(log.epochs),
      afterSeq: afterSeq ?? log.seq,
      commonSeq: afterSeq == null ? log.seq : Math.min(findCommonSeq(log, epochId, graceMs), log.seq),
      maxLag: limits.maxLag,
      mayResync,
      states,
      isBehind,
    };
  });
}

/**
 * The last position up to which the subscriber's log equals the current one. Without the subscriber's epoch, it is the lowest
 * start of all new epochs, because its log may be from any epoch before them.
 */
function findCommonSeq({ epochs, epochAgesMs }: LogHead, epoch: string | undefined, graceMs: number): number {
  if (epoch !== undefined) return commonSeq(epochs, epoch);
  if (epochs.length === 1) return Number.POSITIVE_INFINITY;
  return Math.min(...epochs.filter((_, n) => (epochAgesMs[n] ?? 0) < graceMs).map(({ seq }) => seq));
}

/**
 * The same, but only added messages. There is no event for a changed epoch: a client that has lost entries gets the messages
 * after the last common one again, and a client without an epoch continues from `afterSeq`.
 */
export async function watchMessages(
  deps: Deps,
  viewer: Viewer,
  input: WatchRoomInput,
  isBehind: () => boolean,
): Promise<Source<LogEntry>> {
  const events = await watch(deps, viewer, input, { graceMs: 0, mayResync: false, states: [], isBehind });
  return filterSource(events, (event): event is LogEntry => event.kind === 'added');
}
