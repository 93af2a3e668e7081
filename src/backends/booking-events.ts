import { ChatError } from '../domain/errors.js';
import { syncBooking } from '../resolvers/bookings.js';
import type { Deps } from '../resolvers/deps.js';
import { bookingId, members, nameHint, parsePayload, payload, version } from './payloads.js';

/** The last words of the subjects, and what each event says: the table in docs/backends.md. @public */
export const bookingEvents = {
  created: 'the whole state of the booking; `members` and `version` must be given',
  updated: 'the same as `created`: any event can be the first',
  cancelled: 'the booking is cancelled; `members` may be absent, `version` goes with them',
} as const;

/** Invalid names are ignored, so that the event is applied without them. */
export const event = payload({
  bookingId,
  members: members.nullish(),
  version: version.nullish(),
  name: nameHint,
});

/**
 * Applies an event; the last word of the subject is its kind. Resolves once it is committed.
 * @throws {ChatError} BAD_USER_INPUT if the event is invalid
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
