import type { LogHead } from '../db/room-views.js';
import { commonSeq, presentEpoch } from '../domain/epoch.js';
import { ChatError } from '../domain/errors.js';
import { parseUuid } from '../domain/ids.js';
import type { RoomEvent } from '../domain/room-event.js';
import type { LogEntry } from '../domain/room-log.js';
import { filterSource, type Source } from '../domain/source.js';
import type { Viewer } from '../domain/viewer.js';
import type { Deps } from './deps.js';
import { loadMemberHead } from './loaders.js';

export interface WatchRoomInput {
  readonly roomId: string;
  readonly afterSeq?: number | null | undefined;
  /** Of the log in which `afterSeq` is a position. */
  readonly epoch?: string | null | undefined;
}

/**
 * All that happens in the room from `afterSeq`, or from now, each entry once and in order; then live without a gap.
 * @throws {ChatError} NOT_FOUND where the viewer is no member; the iterator throws FORBIDDEN when that ends
 */
export async function watchRoom(deps: Deps, viewer: Viewer, input: WatchRoomInput): Promise<Source<RoomEvent>> {
  const { epochGraceMs } = deps.limits;
  return watch(deps, viewer, input, { graceMs: epochGraceMs, mayResync: true });
}

/** @param graceMs - for how long an epoch counts as new, in which who says none may hold what is gone */
async function watch(
  deps: Deps,
  viewer: Viewer,
  { roomId, afterSeq, epoch }: WatchRoomInput,
  { graceMs, mayResync }: { readonly graceMs: number; readonly mayResync: boolean },
): Promise<Source<RoomEvent>> {
  const { feeds, limits } = deps;
  const id = parseUuid(roomId, 'roomId');
  const epochId = epoch == null ? undefined : parseUuid(epoch, 'epoch');
  if (afterSeq != null && afterSeq < 0) throw new ChatError('BAD_USER_INPUT', 'afterSeq must not be negative');

  return feeds.subscribe(id, async () => {
    const log = await loadMemberHead(deps, viewer, id);
    if (log === null) throw new ChatError('NOT_FOUND', 'There is no such room, or you are not a member');
    return {
      viewerId: viewer.userId,
      head: log.seq,
      epoch: presentEpoch(log.epochs),
      afterSeq: afterSeq ?? log.seq,
      commonSeq: afterSeq == null ? log.seq : Math.min(findCommonSeq(log, epochId, graceMs), log.seq),
      maxLag: limits.maxLag,
      mayResync,
    };
  });
}

/**
 * Up to where the subscriber's log and the present one are the same. Without its epoch: up to where every epoch began that
 * is new, as its log may be of any life before.
 */
function findCommonSeq({ epochs, epochAgesMs }: LogHead, epoch: string | undefined, graceMs: number): number {
  if (epoch !== undefined) return commonSeq(epochs, epoch);
  if (epochs.length === 1) return Number.POSITIVE_INFINITY;
  return Math.min(...epochs.filter((_, n) => (epochAgesMs[n] ?? 0) < graceMs).map(({ seq }) => seq));
}

/**
 * The same, only what was added. It has no event that says that the log is another one: who has what is gone is given again
 * what came behind the last common entry; who does not say of which epoch that is goes on where they were.
 */
export async function watchMessages(deps: Deps, viewer: Viewer, input: WatchRoomInput): Promise<Source<LogEntry>> {
  const events = await watch(deps, viewer, input, { graceMs: 0, mayResync: false });
  return filterSource(events, (event): event is LogEntry => event.kind === 'added');
}
