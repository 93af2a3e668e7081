import type { LRUCache } from 'lru-cache';
import type { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Database } from '../db/database.js';
import type { Language } from '../domain/notice.js';
import type { Inboxes } from '../pubsub/live/inbox/inboxes.js';
import type { NameNews } from '../pubsub/live/inbox/name-news.js';
import type { LoadGauge } from '../pubsub/live/load-gauge.js';
import type { Presences } from '../pubsub/live/presence/presences.js';
import type { RoomFeeds } from '../pubsub/live/room/room-feeds.js';
import type { Typing } from '../pubsub/live/typing/typing.js';
import type { Batches } from './batches.js';

/** What the business logic needs; put together once, in app.ts. */
export interface Deps {
  readonly db: Database;
  readonly feeds: RoomFeeds;
  readonly typing: Typing;
  readonly presences: Presences;
  readonly inboxes: Inboxes;
  /** Whose name has changed is told to those who see it. */
  readonly names: NameNews;
  /** What can wait waits while it is high. */
  readonly load: LoadGauge;
  readonly limits: Limits;
  /** Sends a minute and user, on this instance; null for the platform's own backends, which limit their users themselves. */
  readonly sendRate: RateLimiterMemory | null;
  /** Other changes a minute and user, on this instance; null likewise. */
  readonly changeRate: RateLimiterMemory | null;
  /** Users new to the chat whom one user may invite a day, on this instance; null likewise. */
  readonly newUserRate: RateLimiterMemory | null;
  /** Subscriptions that a user begins a minute, on this instance. */
  readonly subscriptionRate: RateLimiterMemory;
  /** Searches for users a minute and user, on this instance. */
  readonly searchRate: RateLimiterMemory;
  /** Typing signals a minute and user, on this instance. */
  readonly typingRate: RateLimiterMemory;
  /** The newest token that this instance knows to be stored, by user. Only spares the database: another may know a newer. */
  readonly knownNames: LRUCache<number, { readonly name: string | undefined; readonly issuedAt: Date }>;
  readonly batches: Batches;
  /** Whether the caller may look up users that they share no room with: with a backend of the platform always. */
  readonly userDirectory: boolean;
  /** Of the SYSTEM messages that changes write. */
  readonly language: Language;
  /** Gives up the turn of the mutation that is under way; absent where a backend asks. */
  readonly onHeldUp?: (() => void) | undefined;
}

export interface Limits {
  readonly sendsPerMinute: number;
  /** In code points. */
  readonly maxContentLength: number;
  readonly maxRoomMembers: number;
  readonly maxPageSize: number;
  /** In one subscription to their presence. */
  readonly maxWatchedUsers: number;
  readonly maxSubscriptionsPerSocket: number;
  readonly maxSocketsPerUser: number;
  /** Fields that one operation may touch. */
  readonly maxComplexity: number;
  /** Fields that the queries of one user may touch a minute, and likewise their events. */
  readonly complexityPerMinute: number;
  /** Fields that one event of a subscription may touch. */
  readonly maxEventComplexity: number;
  /** In log entries. */
  readonly maxLag: number;
  /** For how long after an epoch began who resumes without one may hold what is gone. */
  readonly epochGraceMs: number;
}
