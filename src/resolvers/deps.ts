import type { LRUCache } from 'lru-cache';
import type { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Database } from '../db/database.js';
import type { Room } from '../db/rooms.js';
import type { Attachment } from '../domain/attachment.js';
import type { FairTurns } from '../domain/fair-turns.js';
import type { Language } from '../domain/notice.js';
import type { SendGate } from '../domain/send-gate.js';
import type { Slices } from '../domain/slices.js';
import type { KnownToken } from '../domain/viewer.js';
import type { Decoder } from '../files/decoder.js';
import type { Signer } from '../files/signer.js';
import type { Storage } from '../files/storage.js';
import type { Inboxes } from '../pubsub/live/inbox/inboxes.js';
import type { NameSignals } from '../pubsub/live/name-signals.js';
import type { Presences } from '../pubsub/live/presence/presences.js';
import type { RoomFeeds } from '../pubsub/live/room/room-feeds.js';
import type { Typing } from '../pubsub/live/typing/typing.js';
import type { Batches } from './batches.js';
import type { NameCache } from './name-cache.js';

/** The dependencies of the business logic, created once in app.ts. */
export interface Deps {
  readonly db: Database;
  readonly feeds: RoomFeeds;
  readonly typing: Typing;
  readonly presences: Presences;
  readonly inboxes: Inboxes<Room>;
  /** Notifies all instances of new names. */
  readonly names: NameSignals;
  readonly nameCache: NameCache;
  /** Slows down sends, and other changes that bring entries, while messages are delivered late. */
  readonly sendGate: SendGate;
  /** Divides the completion of long lists. */
  readonly slices: Slices;
  readonly limits: Limits;
  /** Sends per minute and user, on this instance; null for backends of the platform, which limit their users themselves. */
  readonly sendRate: RateLimiterMemory | null;
  /** Other changes per minute and user, on this instance; null for backends. */
  readonly changeRate: RateLimiterMemory | null;
  /** Users new to the chat that one user may invite per day, on this instance; null for backends. */
  readonly newUserRate: RateLimiterMemory | null;
  /** Started subscriptions per minute and user, on this instance. */
  readonly subscriptionRate: RateLimiterMemory;
  /** Searches for users per minute and user, on this instance. */
  readonly searchRate: RateLimiterMemory;
  /** Typing signals per minute and user, on this instance. */
  readonly typingRate: RateLimiterMemory;
  /** The newest stored token that this instance knows, by user. Only a cache: another instance may have stored a newer one. */
  readonly knownTokens: LRUCache<number, KnownToken>;
  /** Null if the server has no storage: then it takes no files, and has none. */
  readonly files: Files | null;
  /** Announced files per minute and user, on this instance; null for backends. */
  readonly fileRate: RateLimiterMemory | null;
  /** Announced bytes per day and user, on this instance; null for backends. */
  readonly fileBytesRate: RateLimiterMemory | null;
  readonly batches: Batches;
  /** Whether the caller may look up users without a shared room; always true for a backend. */
  readonly userDirectory: boolean;
  /** The language of new SYSTEM messages. */
  readonly language: Language;
  /** Gives up the turn of the running mutation; absent for a backend. */
  readonly onHeldUp?: (() => void) | undefined;
}

/** What files need beside their rows. */
export interface Files {
  readonly storage: Storage;
  readonly decoder: Decoder;
  /** In front of the work on a file. */
  readonly turns: FairTurns;
  readonly signer: Signer;
  readonly queue: FileQueue;
  /** In front of the path of a file; empty if readers take them from where they reach GraphQL. */
  readonly origin: string;
  /** Null if files are not scanned. */
  readonly scan: ScanFile | null;
}

/** Asks the scanner of the platform. @throws {ChatError} UNAVAILABLE if it does not answer */
export type ScanFile = (request: FileScanRequest) => Promise<{ readonly isClean: boolean }>;

/** What the scanner gets of a file. */
export interface FileScanRequest extends Pick<Attachment, 'id' | 'name' | 'contentType' | 'byteSize'> {
  readonly roomId: string;
  readonly uploaderId: number;
  /** Where it reads the bytes. */
  readonly url: string;
}

/** Brings files with work to do to one instance each. */
export interface FileQueue {
  /** Does not wait: a file that is not brought now is found by a sweep. */
  add(id: string): void;
}

export interface Limits {
  readonly maxFileBytes: number;
  /** Media types. */
  readonly fileTypes: readonly string[];
  readonly filesPerMinute: number;
  /** Of a user, on all instances: announced, and not completed. */
  readonly maxPendingFiles: number;
  readonly fileBytesPerDay: number;
  /** For how long files are kept; null without an end. */
  readonly fileRetentionMs: number | null;
  readonly sendsPerMinute: number;
  /** In code points. */
  readonly maxContentLength: number;
  readonly maxRoomMembers: number;
  readonly maxPageSize: number;
  /** The maximum number of users in one presence subscription. */
  readonly maxWatchedUsers: number;
  readonly maxSubscriptionsPerSocket: number;
  readonly maxSocketsPerUser: number;
  /** Fields that one operation may touch. */
  readonly maxComplexity: number;
  /** Fields that the queries of one user may touch per minute, and likewise their events. */
  readonly complexityPerMinute: number;
  /** Fields that one event of a subscription may touch. */
  readonly maxEventComplexity: number;
  readonly maxAnswerBytes: number;
  /** In log entries. */
  readonly maxLag: number;
  /** For this long after an epoch has begun, a client that resumes without an epoch may have entries that are lost. */
  readonly epochGraceMs: number;
}
