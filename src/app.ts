import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { signToken } from './auth/sign-token.js';
import { createTokenVerifier } from './auth/verify-token.js';
import { serveBackends } from './backends/serve-backends.js';
import type { CompleteConfig, Config } from './config.js';
import { claimStorage } from './db/attachments.js';
import { connectDatabase, type Database } from './db/database.js';
import { FitnessCheck } from './db/fitness.js';
import { createInboxStore } from './db/inbox.js';
import { createLogStore } from './db/log-store.js';
import { createPresenceStore } from './db/presence.js';
import type { Room } from './db/rooms.js';
import { createTypingStore } from './db/typing.js';
import { readDemoUsers } from './dev/demo-users.js';
import { authorizeDemoUser, devLoginRoutes, type SignForUser } from './dev/dev-login.js';
import { FairTurns } from './domain/fair-turns.js';
import { SendGate } from './domain/send-gate.js';
import { Slices } from './domain/slices.js';
import { Decoder } from './files/decoder.js';
import { openStorage } from './files/open-storage.js';
import { parseS3Url } from './files/s3-url.js';
import { Signer } from './files/signer.js';
import { Inboxes } from './pubsub/live/inbox/inboxes.js';
import { NameNews } from './pubsub/live/inbox/name-news.js';
import { LoadGauge } from './pubsub/live/load-gauge.js';
import { NameSignals } from './pubsub/live/name-signals.js';
import { Presences } from './pubsub/live/presence/presences.js';
import { UserConnections } from './pubsub/live/presence/user-connections.js';
import { RoomFeeds } from './pubsub/live/room/room-feeds.js';
import { roomStates } from './pubsub/live/room/room-states.js';
import { Typing } from './pubsub/live/typing/typing.js';
import { EntrySeal } from './pubsub/nats/entry-seal.js';
import { addFileWork } from './pubsub/nats/file-queue.js';
import { requestScan } from './pubsub/nats/file-scan.js';
import { createNatsPubSub, type NatsPubSub } from './pubsub/nats/nats-pub-sub.js';
import type { PubSub } from './pubsub/nats/pub-sub.js';
import { StreamComparison } from './pubsub/nats/stream-comparison.js';
import { createBatches } from './resolvers/batches.js';
import type { Deps, Files, ScanFile } from './resolvers/deps.js';
import { fileTurns } from './resolvers/files.js';
import { findRoomOfMessage } from './resolvers/messages.js';
import { NameCache } from './resolvers/name-cache.js';
import { createAuthenticate } from './server/graphql/context.js';
import type { TrustedDocuments } from './server/graphql/documents/trusted-documents.js';
import { createGraphqlEngine } from './server/graphql/engine.js';
import { createMaskError } from './server/graphql/errors.js';
import { createEventTurns } from './server/graphql/event-executions.js';
import { execute } from './server/graphql/execute.js';
import { ConnectionLimit } from './server/graphql/limits/connection-limit.js';
import { LargeAnswers } from './server/graphql/limits/large-answers.js';
import { SubscriptionBudget } from './server/graphql/limits/subscription-budget.js';
import { UnreadAnswers } from './server/graphql/limits/unread-answers.js';
import { UserTurns } from './server/graphql/limits/user-turns.js';
import { createPrintResult } from './server/graphql/print.js';
import { createSubscribe } from './server/graphql/subscribe.js';
import { fileRoutes } from './server/http/file-routes.js';
import { graphiqlRoutes } from './server/http/graphiql.js';
import { GraphqlOverHttp, graphqlRoutes } from './server/http/graphql-over-http.js';
import { healthRoutes } from './server/http/health-routes.js';
import { HttpServer } from './server/http/http-server.js';
import { metricsRoutes } from './server/http/metrics-routes.js';
import { createOriginCheck } from './server/http/origin.js';
import type { Route } from './server/http/router.js';
import { isWebAppBuilt, webAppRoutes } from './server/http/web-app.js';
import { createMetrics, type MetricSources } from './server/metrics.js';
import { GraphqlSockets } from './server/ws/graphql-sockets.js';
import { FileWork } from './upkeep/file-work.js';

/** A server instance that is ready to serve. It keeps no state that another instance needs. */
export interface App {
  /** Resolves with the port once connections are accepted. */
  listen(): Promise<number>;
  /** Finishes running requests, closes sockets with 1012, and releases everything in reverse order. */
  stop(): Promise<void>;
}

/** For an instance that is one of the workers of a process. */
export interface WorkerSeat {
  readonly number: number;
  readonly primary: {
    /** Adds the metrics to the sum of all workers. Returns a function that reads the sum. */
    shareMetrics(registry: Registry): () => Promise<string>;
  };
}

const maxKnownTokens = 100_000;
const readyWaitMs = 1_000;
const secondsOfDay = 24 * 60 * 60;

/** Builds an instance: database, NATS, feeds, GraphQL, transports. The database must be migrated. */
export async function startApp(
  config: CompleteConfig,
  documents: TrustedDocuments,
  log: Logger,
  seat?: WorkerSeat,
): Promise<App> {
  const { limits, database } = config;
  const db = connectDatabase({
    ...database,
    workers: config.workers,
    replayedPerMinute: limits.replayedPerMinute,
    onError: (error) => log.warn({ err: error }, 'A database connection failed'),
  });
  const fitness = new FitnessCheck(database.url, db);
  const pubsub = createNatsPubSub(requireUrl(config.nats), log);
  const store = createLogStore(db);
  const { epochs } = db;
  const knownTokens: Deps['knownTokens'] = new LRUCache({ max: maxKnownTokens });
  const names = new NameSignals(pubsub);
  const nameCache = new NameCache(names);
  names.onNamed((userId) => nameCache.forget(userId));
  // Names may have changed while no signal arrived.
  pubsub.onConnect(() => nameCache.clear());
  const seal = new EntrySeal(() => db.newestSession()?.entryKey);
  epochs.onChange(() => {
    log.warn({ epoch: epochs.present }, 'The epoch has changed: the database was restored, or it is another server');
    // Names that were stored before may be lost.
    knownTokens.clear();
    nameCache.clear();
  });
  const comparison = new StreamComparison({ pubsub, store, epochs, seal, log });
  pubsub.onConnect(() => comparison.start());
  db.onReturn(() => comparison.start());
  const load = new LoadGauge();
  const sendGate = new SendGate(() => load.entriesLateMs);
  const maxStatesPerEvent = limits.maxRoomMembers;
  const stateGapMs = () => load.intervalMs('marks');
  const eventTurns = createEventTurns(limits);
  const heldUntil = (userId: number) => Math.max(eventTurns.heldUntil(userId), db.replaysHeldUntil(userId));
  const feeds = new RoomFeeds({
    pubsub,
    store,
    seal,
    stateKinds: roomStates,
    maxStatesPerEvent,
    stateGapMs,
    heldUntil,
    log,
  });
  load.measureEntries((loopLateMs) => feeds.lateEntries.measure(loopLateMs));
  const typing = new Typing({ feeds, pubsub, store: createTypingStore(db), load });
  const inboxStore = createInboxStore(db);
  const inboxes = new Inboxes<Room>({ pubsub, feeds, store: inboxStore, epochs, seal, load, log });
  const presenceStore = createPresenceStore(db);
  const userConnections = new UserConnections({
    store: presenceStore,
    log,
    onChange: (userIds) => void presences.announce(userIds),
    onLastClosed: (userId) => typing.endAll(userId),
  });
  const { maxWatchedUsers } = limits;
  const isTrusted = () => userConnections.isHeld;
  const presences = new Presences({ pubsub, store: presenceStore, load, log, maxWatchedUsers, isTrusted });
  feeds.onPublish((entry) => presences.noteEntry(entry));
  const nameNews = new NameNews({ signals: names, presences, inboxes, store: inboxStore, load, log });
  const slices = new Slices();
  const files = await openFiles({ db, pubsub, log }, config.files);
  const deps: Deps = {
    db,
    feeds,
    typing,
    presences,
    inboxes,
    names,
    nameCache,
    sendGate,
    slices,
    limits,
    sendRate: new RateLimiterMemory({ points: limits.sendsPerMinute, duration: 60 }),
    changeRate: new RateLimiterMemory({ points: limits.changesPerMinute, duration: 60 }),
    newUserRate: new RateLimiterMemory({ points: limits.newUsersPerDay, duration: secondsOfDay }),
    subscriptionRate: new RateLimiterMemory({ points: limits.subscriptionsPerMinute, duration: 60 }),
    searchRate: new RateLimiterMemory({ points: limits.searchesPerMinute, duration: 60 }),
    typingRate: new RateLimiterMemory({ points: limits.changesPerMinute, duration: 60 }),
    knownTokens,
    files,
    fileRate: new RateLimiterMemory({ points: limits.filesPerMinute, duration: 60 }),
    fileBytesRate: new RateLimiterMemory({ points: limits.fileBytesPerDay, duration: secondsOfDay }),
    batches: createBatches(db, nameCache),
    userDirectory: config.userDirectory,
    language: config.language,
  };
  const { bookingEvents } = config;
  const backends = serveBackends(pubsub, deps, { version: readVersion(), bookingEvents }, log);

  const work = files === null ? undefined : new FileWork({ deps, pubsub, log });

  const maskError = createMaskError(log, { suggestions: config.introspection });
  const budget = new SubscriptionBudget(limits.maxSubscriptionBytes);
  const subscribe = createSubscribe(execute, { budget, turns: eventTurns });
  const { introspection } = config;
  const unread = new UnreadAnswers(limits.maxAnswerBytes, slices);
  const largeAnswers = new LargeAnswers({ slices, maskError, maxAnswerBytes: limits.maxAnswerBytes });
  const userTurns = new UserTurns(execute, { ...limits, unread, largeAnswers });
  const engine = createGraphqlEngine({ ...limits, deps, documents, maskError, introspection });
  const authenticate = createAuthenticate(createTokenVerifier(config.auth), deps);
  const connectionLimit = new ConnectionLimit(limits.maxSocketsPerUser, userConnections);
  const { sendTimeoutMs, keepAliveMs, maxStreamMs, maxBodyBytes, maxAnswerBytes } = limits;
  const print = createPrintResult(maskError, maxAnswerBytes);
  const shared = { engine, userTurns, subscribe, authenticate, print, connectionLimit, slices, maxAnswerBytes, unread };
  const sockets = new GraphqlSockets({
    ...shared,
    maskError,
    findRoomOfMessage: (id) => findRoomOfMessage(deps, id),
    maxFrameBytes: maxBodyBytes,
    maxSubscriptions: limits.maxSubscriptionsPerSocket,
    log,
  });
  const graphql = new GraphqlOverHttp({ ...shared, maxBodyBytes, maxStreamMs });
  const sign = signLocally(config);
  const fileOrigins = findFileOrigins(config);
  const hasWebApp = config.webApp.isServed && isWebAppBuilt();
  const http: HttpServer = new HttpServer({
    routes: [
      ...graphqlRoutes(graphql),
      ...(hasWebApp ? webAppRoutes({ ...config.webApp, fileOrigins, demoUsers: sign && readDemoUsers() }) : []),
      ...(config.graphiql
        ? graphiqlRoutes(async (request) => sign && authorizeDemoUser(request, sign), { isHome: !hasWebApp })
        : []),
      ...(files === null ? [] : fileRoutes({ deps, files, authenticate })),
      ...healthRoutes({
        isStopping: () => http.isStopping,
        checkReadiness: () => checkReadiness(fitness, pubsub, feeds),
      }),
      ...offerMetrics(config, seat, {
        sockets: () => sockets.size,
        streams: () => graphql.streamCount,
        unreadBytes: () => unread.bytes,
        roomFeeds: () => feeds.size,
        typingRooms: () => typing.size,
        watchedUsers: () => presences.size,
        inboxes: () => inboxes.size,
        keptNames: () => nameCache.size,
        natsSubjects: () => pubsub.subjectCount,
        isNatsConnected: () => pubsub.isConnected,
        natsRequests: () => backends.underWay,
        natsTraffic: () => pubsub.traffic,
        natsIgnored: () => pubsub.ignoredCount,
        natsUnanswered: () => pubsub.replies.refusedCount,
        failingStreams: () => pubsub.failingStreams.length,
        backlog: () => feeds.unpublished.backlog,
        worstLateMs: (what) => load.takeWorst(what),
        intervalMs: (kind) => load.intervalMs(kind),
        sends: sendGate,
        files: work,
      }),
      ...(sign === undefined ? [] : devLoginRoutes(sign)),
    ],
    graphql,
    sockets,
    maskError,
    isAllowedOrigin: createOriginCheck({ allowed: config.allowedOrigins, loopback: config.embedded }),
    sendTimeoutMs,
    keepAliveMs,
    log,
  });

  // Both are ready before the server listens. If NATS or PostgreSQL is unreachable, the start waits for 1 s at most.
  await Promise.race([Promise.all([backends.ready, db.warmUp()]), delay(readyWaitMs, undefined, { ref: false })]);
  return {
    listen: () => http.listen(config.port, config.host),
    stop: async () => {
      db.hurry();
      // Presence is released in parallel: a socket that closes slowly must not keep its user online.
      await Promise.all([userConnections.close(), http.stop(), backends.close(), work?.close()]);
      files?.decoder.close();
      sendGate.close();
      load.close();
      nameNews.close();
      names.close();
      presences.close();
      inboxes.close();
      typing.close();
      comparison.close();
      await feeds.close();
      await pubsub.close();
      await Promise.all([db.close(), fitness.close()]);
    },
  };
}

interface FilesDeps {
  readonly db: Database;
  readonly pubsub: NatsPubSub;
  readonly log: Logger;
}

/**
 * Null if the server takes no files.
 * @throws {OtherStorageError} if the database belongs to another storage
 * @throws {StorageRefusedError}
 */
async function openFiles(
  { db, pubsub, log }: FilesDeps,
  { storageUrl, storageKey, origin, isScanned }: Config['files'],
): Promise<Files | null> {
  if (storageUrl === undefined) return null;
  const signer = new Signer(
    () => db.newestSession()?.filesKey,
    () => db.now(),
  );
  const claim = (id: string) => claimStorage(db, id);
  const storage = await openStorage({ url: storageUrl, key: storageKey }, { signer, claim, log });
  const queue = { add: (id: string) => addFileWork(pubsub, id) };
  const scan: ScanFile | null = isScanned ? (request) => requestScan(pubsub, request) : null;
  return { storage, signer, decoder: new Decoder(), turns: new FairTurns(fileTurns), queue, origin, scan };
}

/** Where readers take files from, and bring them to, beside the server of the API. */
function findFileOrigins({ files: { origin, storageUrl } }: Config): string[] {
  const origins = origin === '' ? [] : [origin];
  return storageUrl?.startsWith('s3:') === true ? [...origins, new URL(parseS3Url(storageUrl).url).origin] : origins;
}

/** In embedded mode, signs tokens for clients on this machine without a password; otherwise undefined. */
function signLocally({ embedded, auth }: Config): SignForUser | undefined {
  const { secret, issuer, audience } = auth;
  if (!embedded || secret === undefined) return undefined;
  return (userId) => signToken(secret, { userId }, { issuer, audience });
}

/**
 * Metrics need a token, except in embedded mode. Without a token there is no route otherwise. A worker serves the sum of all
 * workers.
 */
function offerMetrics(
  { embedded, metricsToken: token, host }: Config,
  seat: WorkerSeat | undefined,
  sources: MetricSources,
): Route[] {
  if (!embedded && token === undefined) return [];
  const registry = createMetrics(sources, seat?.number);
  const read = seat?.primary.shareMetrics(registry) ?? (() => registry.metrics());
  return metricsRoutes({ read, token, host });
}

/**
 * The server is ready if PostgreSQL accepts writes. A problem with NATS only makes it slower, or delays live delivery to
 * other instances: the status is "degraded" then.
 */
async function checkReadiness(fitness: FitnessCheck, pubsub: PubSub, { unpublished }: RoomFeeds) {
  const postgres = await fitness.check();
  const parts = {
    postgres,
    nats: pubsub.isConnected ? 'ok' : 'away',
    streams: pubsub.failingStreams.length === 0 ? 'ok' : `missing: ${pubsub.failingStreams.join(', ')}`,
    outbox: unpublished.isBehind ? 'behind' : 'ok',
  };
  const isWhole = Object.values(parts).every((state) => state === 'ok');
  const ready = postgres === 'ok';
  return { ready, body: { status: isWhole ? 'ok' : ready ? 'degraded' : 'unready', ...parts } };
}

function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function requireUrl<T extends { readonly url: string | undefined }>(nats: T): T & { readonly url: string } {
  if (nats.url === undefined) throw new Error('NATS_URL is not known');
  return { ...nats, url: nats.url };
}
