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

/** The service for other backends of the platform, over NATS. */
export interface Backends {
  /** Resolves once requests are answered, which needs NATS. */
  readonly ready: Promise<void>;
  /** The number of requests that are not answered yet. */
  readonly underWay: number;
  /** Takes no more requests and events, and finishes the pending ones. */
  close(): Promise<void>;
}

export interface BackendOptions {
  readonly version: string;
  /** The stream of the booking system; without it no events are consumed. */
  readonly bookingEvents: { readonly stream: string | undefined; readonly subjects: readonly string[] };
}

/** All subjects that are answered. */
export const services = [...roomServices, ...memberServices, ...messageServices, ...userServices];

/** Answers requests and consumes booking events, shared with all other instances. NATS permissions control the access. */
export function serveBackends(nats: NatsPubSub, limited: Deps, options: BackendOptions, log: Logger): Backends {
  // A backend acts for many users and has its own limits for each of them.
  const deps: Deps = {
    ...limited,
    sendRate: null,
    changeRate: null,
    newUserRate: null,
    fileRate: null,
    fileBytesRate: null,
    userDirectory: true,
  };
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
