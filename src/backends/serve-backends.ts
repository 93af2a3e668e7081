import type { Logger } from 'pino';
import { type Consumer, createConsumer } from '../pubsub/nats/consumer.js';
import type { NatsPubSub } from '../pubsub/nats/nats-pub-sub.js';
import { createResponder } from '../pubsub/nats/responder.js';
import { deadLetterSubject } from '../pubsub/nats/subjects.js';
import type { Deps } from '../resolvers/deps.js';
import { applyBookingEvent } from './booking-events.js';
import { memberServices } from './members.js';
import { messageServices } from './messages.js';
import { roomServices } from './rooms.js';
import { userServices } from './users.js';

/** What other backends of the platform are served with, over NATS. */
export interface Backends {
  /** Resolves once requests are answered; not before NATS is there. */
  readonly ready: Promise<void>;
  /** Requests that were taken and not answered yet. */
  readonly underWay: number;
  /** Takes no more, and finishes what it has. */
  close(): Promise<void>;
}

export interface BackendOptions {
  readonly version: string;
  /** Where the booking system tells what happens; without a stream nobody listens for it. */
  readonly bookingEvents: { readonly stream: string | undefined; readonly subjects: readonly string[] };
}

/** Every subject that is answered. */
export const services = [...roomServices, ...memberServices, ...messageServices, ...userServices];

/** Answers requests and consumes booking events, shared with all other instances. Access is NATS's own affair. */
export function serveBackends(nats: NatsPubSub, limited: Deps, options: BackendOptions, log: Logger): Backends {
  // A backend speaks for many users at once, and limits each of them itself.
  const deps: Deps = { ...limited, sendRate: null, changeRate: null, newUserRate: null, userDirectory: true };
  const responder = createResponder(
    nats,
    { name: 'fairway', version: options.version, description: 'Rooms and messages of the chat' },
    services.map(({ createEndpoint }) => createEndpoint(deps, log)),
    log,
  );
  const consumers = consumeBookingEvents(nats, deps, options.bookingEvents, log);
  return {
    ready: responder.ready,
    get underWay() {
      return responder.underWay;
    },
    close: async () => {
      await Promise.all([responder, ...consumers].map((part) => part.close()));
    },
  };
}

function consumeBookingEvents(
  nats: NatsPubSub,
  deps: Deps,
  { stream, subjects }: BackendOptions['bookingEvents'],
  log: Logger,
): Consumer[] {
  if (stream === undefined) return [];
  return subjects.map((subject) =>
    createConsumer(
      nats,
      { stream, subject, deadLetterSubject: deadLetterSubject('booking') },
      (event) => applyBookingEvent(deps, event),
      log,
    ),
  );
}
