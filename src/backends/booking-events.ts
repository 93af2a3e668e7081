import { ChatError } from '../domain/errors.js';
import { syncBooking } from '../resolvers/bookings.js';
import type { Deps } from '../resolvers/deps.js';
import { bookingId, members, nameHint, parsePayload, payload, version } from './payloads.js';

/** Each event says the whole state, so any of them can be the first. Nobody is kept out of the room by its name. */
const event = payload({
  bookingId,
  members: members.nullish(),
  version: version.nullish(),
  name: nameHint,
});

/**
 * What happened is the last word of the subject. Resolves once it is committed.
 * @throws {ChatError} BAD_USER_INPUT where the event makes no sense
 */
export async function applyBookingEvent(deps: Deps, { subject, payload }: { subject: string; payload: unknown }) {
  const cancelled = subject.endsWith('.cancelled');
  const { bookingId, members, version, name } = parsePayload(event, payload);
  if (members == null && !cancelled) throw new ChatError('BAD_USER_INPUT', 'members must be given');
  if (members != null && version == null) throw new ChatError('BAD_USER_INPUT', 'version must be given with members');
  await syncBooking(deps, {
    bookingId,
    name,
    members: members ?? null,
    version: version ?? null,
    cancelled,
  });
}
