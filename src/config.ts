import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { findUrlProblem } from './db/database-url.js';
import { defaultLanguage, type Language, languages } from './domain/notice.js';
import { normalizeOrigin } from './domain/origin.js';
import { usualFileTypes } from './files/file-types.js';
import { findS3UrlProblem } from './files/s3-url.js';
import { countUsableCores } from './workers/usable-cores.js';

/** The configuration from the environment, checked once at start. Sizes are in bytes, times in milliseconds. */
export interface Config {
  readonly port: number;
  readonly host: string;
  readonly production: boolean;
  /** How many processes serve the port. */
  readonly workers: number;
  /** True if neither DATABASE_URL nor NATS_URL is set: then this process starts its own servers, with demo data and login. */
  readonly embedded: boolean;
  readonly dataDir: string;
  readonly logLevel: (typeof logLevels)[number];
  readonly database: {
    readonly url: string | undefined;
    readonly poolSize: number;
    readonly readPoolSize: number;
    readonly replayPoolSize: number;
  };
  readonly nats: NatsConfig;
  readonly bookingEvents: BookingEventsConfig;
  readonly auth: AuthConfig;
  readonly allowedOrigins: readonly string[];
  /** The language of the SYSTEM messages that this server writes. */
  readonly language: Language;
  readonly userDirectory: boolean;
  readonly introspection: boolean;
  readonly graphiql: boolean;
  readonly webApp: WebAppConfig;
  readonly trustedDocuments: TrustedDocumentsConfig;
  readonly metricsToken: string | undefined;
  readonly files: FilesConfig;
  readonly limits: LimitsConfig;
}

/** The configuration with the addresses of PostgreSQL and NATS. */
export type CompleteConfig = Config & { readonly database: { readonly url: string } };

export interface NatsConfig {
  readonly url: string | undefined;
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** Path of a NATS credentials file. */
  readonly creds: string | undefined;
  readonly replicas: number;
  /** The allowed prefixes of reply subjects. */
  readonly replyPrefixes: readonly string[];
}

/** The JetStream stream of the booking system and its subjects with booking events. Without a stream none are consumed. */
export interface BookingEventsConfig {
  readonly stream: string | undefined;
  readonly subjects: readonly string[];
}

export interface AuthConfig {
  readonly secret: string | undefined;
  readonly jwksUrl: string | undefined;
  readonly algorithms: readonly string[];
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
}

export interface WebAppConfig {
  readonly isServed: boolean;
  /** Origins of pages that may show the app in a frame, and hand it a token. */
  readonly frameAncestors: readonly string[];
  /** Origins from which the app loads pictures. */
  readonly imageOrigins: readonly string[];
}

export interface FilesConfig {
  /** Undefined: the server takes no files. */
  readonly storageUrl: string | undefined;
  /** For a bucket of S3. */
  readonly storageKey: { readonly id: string; readonly secret: string } | undefined;
  /** In front of the paths of files; empty if they are served where the API is. */
  readonly origin: string;
  /** Whether a virus scanner of the platform looks at each file before others can read it. */
  readonly isScanned: boolean;
}

export interface TrustedDocumentsConfig {
  /** Paths of files and folders. */
  readonly manifests: readonly string[];
  /** Whether all other documents are refused. */
  readonly only: boolean;
}

export interface LimitsConfig {
  readonly maxBodyBytes: number;
  readonly maxAnswerBytes: number;
  readonly maxDepth: number;
  readonly maxAliases: number;
  readonly maxTokens: number;
  /** In UTF-16 units. */
  readonly maxDocumentLength: number;
  readonly maxDocumentLines: number;
  readonly maxComplexity: number;
  readonly maxEventComplexity: number;
  readonly maxSubscriptionsPerSocket: number;
  readonly maxSocketsPerUser: number;
  /** How many queries of a user run at the same time, and likewise how many changes. */
  readonly maxOperationsAtOnce: number;
  /** Memory for the documents and variables of a user's subscriptions. */
  readonly maxSubscriptionBytes: number;
  /** How many fields all queries of a user may touch, and likewise the answers to changes. */
  readonly complexityPerMinute: number;
  /** All operations of a user, including refused ones. */
  readonly operationsPerMinute: number;
  readonly sendsPerMinute: number;
  readonly changesPerMinute: number;
  readonly subscriptionsPerMinute: number;
  /** Entries of the log. */
  readonly replayedPerMinute: number;
  readonly searchesPerMinute: number;
  readonly newUsersPerDay: number;
  readonly maxContentLength: number;
  readonly maxRoomMembers: number;
  readonly maxPageSize: number;
  /** The maximum number of users in one presence subscription. */
  readonly maxWatchedUsers: number;
  /** A live subscription that is more log entries behind is closed as a slow consumer. */
  readonly maxLag: number;
  /**
   * For this long after a restore, a client that resumes without an epoch, past the position to which the log was restored,
   * has to fetch the room again.
   */
  readonly epochGraceMs: number;
  readonly sendTimeoutMs: number;
  /** An idle HTTP connection is closed after this time. */
  readonly keepAliveMs: number;
  /** An HTTP stream ends at this age, or a little earlier. */
  readonly maxStreamMs: number;
  readonly maxFileBytes: number;
  /** Media types. */
  readonly fileTypes: readonly string[];
  readonly filesPerMinute: number;
  readonly maxPendingFiles: number;
  readonly fileBytesPerDay: number;
  /** Null: without an end. */
  readonly fileRetentionMs: number | null;
}

/** Lists every mistake in the environment, one per line. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(readonly problems: readonly string[]) {
    super(`The configuration cannot be used:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
  }
}

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
const minSecretBytes = 32;
/**
 * Every worker receives what it needs of every room, so each further one gains less. With this many and their default pools
 * a process stays below the 100 connections that PostgreSQL allows by default.
 */
const maxDefaultWorkers = 8;
const dayMs = 86_400_000;
export const defaultDataDir = '.data';
const natsUrl = /^((nats|tls):\/\/)?[\w.[\]:-]+$/;

const wholeNumber = (min: number, max: number) => {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.coerce.number({ error }).int({ error }).min(min, { error }).max(max, { error });
};
const count = (fallback: number, max = 1_000_000_000) => wholeNumber(1, max).default(fallback);
const url = (...schemes: string[]) =>
  z.string().refine((value) => URL.canParse(value) && schemes.includes(new URL(value).protocol), {
    error: `must be a URL that starts with ${schemes.map((scheme) => `${scheme}//`).join(' or ')}`,
  });
function refuseParameters(value: string, context: z.RefinementCtx<string>): void {
  const problem = findUrlProblem(value);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
}
function refuseBucket(value: string, context: z.RefinementCtx<string>): void {
  const problem = isBucket(value) && URL.canParse(value) ? findS3UrlProblem(value) : undefined;
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
}
const isBucket = (storageUrl: string | undefined): boolean => storageUrl?.startsWith('s3:') === true;
const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);
const natsUrls = z.string().refine((text) => text.split(',').every((url) => natsUrl.test(url.trim())), {
  error: 'must be a list of addresses such as nats://localhost:4222',
});
const streamName = z.string().regex(/^[^\s.*>/\\]{1,255}$/, { error: 'must be the name of a stream' });
const eventSubject = z.string().regex(/^(?:[\w-]+|\*)(?:\.(?:[\w-]+|\*))*\.(?:created|updated|cancelled)$/, {
  error: 'must be a list of subjects that end in created, updated or cancelled, such as booking.*.created',
});
const replyPrefix = z.string().regex(/^(?!chat\.|_INBOX_FAIRWAY\.)[\w-]+\.(?:[\w-]+\.)*$/, {
  error: 'must be a list of subject prefixes that end in a dot, such as _INBOX., without those of Fairway itself',
});
const mediaType = z
  .string()
  .regex(/^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.+-]+$/, { error: 'must be a list of media types such as image/jpeg' });
const onOff = z
  .enum(['on', 'off', 'true', 'false'], { error: 'must be on or off' })
  .transform((value) => value === 'on' || value === 'true');

const origin = z.string().transform((value, { addIssue }) => {
  const normalized = normalizeOrigin(value);
  if (normalized !== null) return normalized;
  addIssue('must be a list of origins such as https://app.example.com or capacitor://localhost, without a path or a *');
  return z.NEVER;
});

/** An origin that becomes part of a content security policy, where other characters would begin another rule. */
const policyOrigin = origin.pipe(
  z.string().regex(/^[^:]+:\/\/[^;,'"]+$/, { error: 'must be a list of origins such as https://app.example.com' }),
);

/** The variables with their texts for docs/configuration.md; `default` is the text for a variable without a fixed default. */
export const environment = z.object({
  PORT: wholeNumber(0, 65_535).default(4000).describe('TCP port; 0 chooses a free one'),
  HOST: z
    .string()
    .transform((host) => host.replace(/^\[(.*)\]$/, '$1'))
    .optional()
    .meta({
      description: 'address to listen on; IPv6 also in brackets, as in a URL',
      default: '`127.0.0.1` embedded, else `0.0.0.0`',
    }),
  NODE_ENV: z
    .string()
    .optional()
    .describe(
      '`production` requires `DATABASE_URL` and `NATS_URL`, and turns GraphiQL and introspection off by default',
    ),
  WORKERS: wholeNumber(1, 128)
    .optional()
    .meta({
      description: 'processes that serve the port together, [one for each core](operations.md#several-cores)',
      default: `in production the cores less one, 1 to ${maxDefaultWorkers}; else \`1\``,
    }),
  DATA_DIR: z.string().default(defaultDataDir).describe('folder of the embedded servers and the development secret'),
  LOG_LEVEL: z
    .enum(logLevels, { error: `must be one of ${logLevels.join(', ')}` })
    .optional()
    .meta({
      description: '`fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`',
      default: '`warn` embedded, else `info`',
    }),
  DATABASE_URL: url('postgres:', 'postgresql:')
    .superRefine(refuseParameters)
    .optional()
    .meta({ description: '`postgresql://user:password@host:5432/name`', default: '– (embedded)' }),
  DATABASE_POOL_SIZE: count(10, 1_000).describe(
    "connections for changes and live delivery, [shared out among the workers](operations.md#postgresql); one user's changes take half of a worker's at most",
  ),
  READ_POOL_SIZE: count(10, 1_000).describe('further connections, for queries, shared out likewise'),
  REPLAY_POOL_SIZE: count(4, 1_000).describe('further connections, for replays only, shared out likewise'),
  NATS_URL: natsUrls
    .optional()
    .meta({ description: '`nats://host:4222`, or several, separated by commas', default: '– (embedded)' }),
  NATS_USER: z.string().optional().describe('goes with `NATS_PASSWORD`'),
  NATS_PASSWORD: z.string().optional().describe('goes with `NATS_USER`'),
  NATS_CREDS: z.string().optional().describe('path of a credentials file, instead of user and password'),
  NATS_REPLICAS: count(1, 5).describe('copies of each stream in the cluster, 1 to 5'),
  NATS_REPLY_PREFIXES: list
    .pipe(z.array(replyPrefix).min(1, { error: 'must name at least one prefix' }))
    .default(['_INBOX.', '_R_.'])
    .describe(
      'allowed prefixes of the reply subject of a request: inboxes, and the subjects that NATS makes between accounts',
    ),
  BOOKING_EVENTS_STREAM: streamName
    .optional()
    .describe(
      'the stream of the booking system, whose events create and update BOOKING rooms; without it no events are consumed',
    ),
  BOOKING_EVENTS_SUBJECTS: list
    .pipe(z.array(eventSubject).min(1, { error: 'must name at least one subject' }))
    .default(['booking.*.created', 'booking.*.updated', 'booking.*.cancelled'])
    .describe('subjects of that stream, separated by commas; each ends in `created`, `updated` or `cancelled`'),
  AUTH_JWT_SECRET: z
    .string()
    .optional()
    .meta({ description: 'HS256 secret, at least 32 bytes', default: 'created and kept in `DATA_DIR` when embedded' }),
  AUTH_JWKS_URL: url('https:', 'http:')
    .optional()
    .describe('key set, instead of the secret; there is no development login then'),
  AUTH_ALGORITHMS: list.optional().meta({
    description: 'allowed signature algorithms of tokens; with `AUTH_JWKS_URL` only',
    default: '`RS256,ES256`',
  }),
  AUTH_ISSUER: z
    .string()
    .optional()
    .meta({ description: 'the `iss` that tokens must have', default: '– (not checked)' }),
  AUTH_AUDIENCE: z
    .string()
    .optional()
    .meta({ description: 'the `aud` that tokens must have', default: '– (not checked)' }),
  ALLOWED_ORIGINS: list
    .pipe(z.array(origin))
    .default([])
    .describe('other origins of pages, separated by commas: `https://app.example.com,capacitor://localhost`'),
  SERVER_LANGUAGE: z
    .enum(languages, { error: `must be ${languages.join(' or ')}` })
    .default(defaultLanguage)
    .describe('language of the SYSTEM messages that this server writes, `ko` or `en`; older ones stay as they are'),
  USER_DIRECTORY: onOff
    .optional()
    .meta({ description: '`on`: every user may search and look up all users', default: '`on` embedded, else `off`' }),
  INTROSPECTION: onOff.optional().meta({
    description: 'introspection, and suggestions in error messages',
    default: '`off` in production, else `on`',
  }),
  GRAPHIQL: onOff
    .optional()
    .meta({ description: 'GraphiQL at `/graphql` in a browser', default: '`off` in production, else `on`' }),
  WEB_APP: onOff.default(true).meta({ description: '`on`: the chat app at `/`', default: '`on`' }),
  FRAME_ANCESTORS: list
    .pipe(z.array(policyOrigin))
    .default([])
    .describe('origins of pages that may show the chat app in a frame, and hand it a token, separated by commas'),
  IMAGE_ORIGINS: list
    .pipe(z.array(policyOrigin))
    .default([])
    .describe(
      'origins from which the chat app loads pictures, separated by commas; others open when they are asked for',
    ),
  TRUSTED_DOCUMENTS: list
    .default([])
    .describe(
      'manifests of [registered documents](#trusted-documents), or folders of `.graphql` files, separated by commas',
    ),
  TRUSTED_DOCUMENTS_ONLY: onOff
    .default(false)
    .meta({ description: '`true`: all other documents are refused; GraphiQL is off', default: '`false`' }),
  STORAGE_URL: url('file:', 's3:').superRefine(refuseBucket).optional().meta({
    description:
      '[where files are kept](operations.md#files): `file:///var/lib/fairway`, a folder that all instances share, or `s3://bucket/prefix?region=…`, a bucket; without it no files are taken',
    default: '`files` in `DATA_DIR` embedded, else –',
  }),
  STORAGE_KEY_ID: z.string().optional().describe('id of the access key for an `s3:` address in `STORAGE_URL`'),
  STORAGE_SECRET_KEY: z.string().optional().describe('goes with `STORAGE_KEY_ID`'),
  FILES_ORIGIN: policyOrigin.optional().meta({
    description: 'an origin of its own for files, which leads to this server',
    default: '– (that of the API)',
  }),
  FILES_SCAN: onOff.default(false).meta({
    description:
      '`true`: a file is held back until [the scanner of the platform](backends.md#scanning-files) has answered `chat.files.scan`',
    default: '`false`',
  }),
  METRICS_TOKEN: z
    .string()
    .min(16, { error: 'must have at least 16 characters' })
    .optional()
    .describe('bearer token for `/metrics`, at least 16 characters'),
  MAX_BODY_BYTES: count(262_144).describe('bytes of an HTTP body or a WebSocket frame'),
  MAX_ANSWER_BYTES: wholeNumber(65_536, 1_000_000_000)
    .default(4_194_304)
    .describe('bytes of an answer or event; a user who leaves two of that size unread is `RATE_LIMITED`'),
  MAX_DEPTH: count(10, 100).describe('fields within fields'),
  MAX_ALIASES: count(15, 10_000).describe('aliases of an operation, with fragments written out'),
  MAX_TOKENS: count(1_000, 1_000_000).describe('tokens of a document'),
  MAX_DOCUMENT_LENGTH: count(30_000, 10_000_000).describe('characters of a document'),
  MAX_DOCUMENT_LINES: count(1_000, 1_000_000).describe('lines of a document'),
  MAX_COMPLEXITY: count(20_000).describe('fields that an operation may touch, with all that its lists hold'),
  MAX_EVENT_COMPLEXITY: count(500).describe(
    'fields that one event of a subscription may touch; four fields of all members of a room, if that is more',
  ),
  MAX_SUBSCRIPTIONS_PER_SOCKET: count(50, 10_000).describe('subscriptions on one socket'),
  MAX_SOCKETS_PER_USER: count(10, 10_000).describe('sockets and HTTP streams of a user, per instance'),
  MAX_OPERATIONS_AT_ONCE: count(4, 1_000).describe(
    'queries of a user that run at the same time, and likewise changes; others wait, for 10 s at most',
  ),
  MAX_SUBSCRIPTION_BYTES: count(4_000_000).describe(
    "bytes of memory for the documents and variables of a user's subscriptions, per instance",
  ),
  COMPLEXITY_PER_MINUTE: count(3_000_000).describe(
    "fields of a user's queries a minute (500 at least for each field at the top, 1 for 128 characters); likewise of changes, and of events",
  ),
  OPERATIONS_PER_MINUTE: count(30_000).describe(
    'operations that a user may send in a minute, per instance; a socket that sends more is read later',
  ),
  SENDS_PER_MINUTE: count(120, 1_000_000).describe('calls of `sendMessage` per minute and user, per instance'),
  CHANGES_PER_MINUTE: count(300, 1_000_000).describe(
    'all other mutations per minute and user, per instance; every 50 users that one adds to a room count as one more',
  ),
  SUBSCRIPTIONS_PER_MINUTE: count(1_000, 1_000_000).describe(
    'subscriptions that a user may start in a minute, over sockets and HTTP streams, per instance; one to `presence` counts once more for every 50 users',
  ),
  REPLAYED_PER_MINUTE: count(240_000).describe(
    'log entries that are replayed for a user in a minute, per instance; each page counts as at least 10',
  ),
  SEARCHES_PER_MINUTE: count(120, 1_000_000).describe('calls of `searchUsers` per minute and user, per instance'),
  NEW_USERS_PER_DAY: count(500, 1_000_000).describe(
    'users new to the chat that one user may invite in a day, per instance; with `USER_DIRECTORY=off`, all users without a shared room count',
  ),
  MAX_CONTENT_LENGTH: count(4_000, 40_000).describe('code points of a message'),
  MAX_ROOM_MEMBERS: count(500, 10_000).describe('members of a room'),
  MAX_PAGE_SIZE: count(100, 1_000).describe('the maximum of `first` and `last`'),
  MAX_WATCHED_USERS: count(500, 10_000).describe('users that one `presence` subscription may name'),
  MAX_LAG: count(10_000).describe('log entries that a live subscription may be behind before it is closed (4490)'),
  MAX_FILE_BYTES: count(26_214_400).describe('bytes of a file'),
  FILE_TYPES: list
    .pipe(z.array(mediaType).min(1, { error: 'must name at least one type' }))
    .default([...usualFileTypes])
    .meta({
      description: 'media types of files that are taken, as their bytes say, separated by commas',
      default: 'pictures, PDF, office documents, zip, text, audio, video',
    }),
  FILES_PER_MINUTE: count(60, 1_000_000).describe('calls of `createUpload` per minute and user, per instance'),
  MAX_PENDING_FILES: count(100, 10_000).describe(
    'files of a user that are announced and not completed, on all instances; those that are never completed count for a day',
  ),
  FILE_BYTES_PER_DAY: count(1_073_741_824, 2_147_483_647).describe(
    'bytes of files that a user may announce in a day, per instance',
  ),
  ATTACHMENT_RETENTION_DAYS: wholeNumber(0, 36_500)
    .default(0)
    .describe(
      'days after which the files of a message are erased, unless the platform has set others for its room; 0 keeps them without an end',
    ),
  EPOCH_GRACE_DAYS: wholeNumber(0, 3_650)
    .default(30)
    .describe(
      'days after a restore or failover in which a client that resumes past its point without `epoch` fetches the room again',
    ),
  SEND_TIMEOUT_MS: count(15_000, 3_600_000).describe(
    'milliseconds without progress on one send before a client is disconnected (4490); 20 times that for a whole answer',
  ),
  KEEP_ALIVE_MS: wholeNumber(1_000, 3_600_000)
    .default(75_000)
    .describe('milliseconds after which an idle HTTP connection is closed; longer than a proxy keeps its own idle'),
  MAX_STREAM_MS: wholeNumber(1_000, 86_400_000)
    .default(120_000)
    .describe(
      'maximum age of an HTTP stream in milliseconds; it is closed then, to be resumed, because its client may be gone',
    ),
});
type Environment = z.infer<typeof environment>;

const asymmetricAlgorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];

/**
 * Reads the environment; no other code does. An empty variable counts as absent.
 * @throws {ConfigError} with all mistakes
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const present: Present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = environment.safeParse(present);
  const mistakes = parsed.error?.issues.map((issue) => `${issue.path[0]?.toString()}: ${issue.message}`) ?? [];
  const problems = [...mistakes, ...authProblems(present), ...modeProblems(present), ...storageProblems(present)];
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems);

  return Object.freeze(toConfig(parsed.data));
}

/** @throws {ConfigError} where SERVER_LANGUAGE is none */
export function readLanguage({ SERVER_LANGUAGE }: NodeJS.ProcessEnv): Language {
  const parsed = environment.shape.SERVER_LANGUAGE.safeParse(SERVER_LANGUAGE === '' ? undefined : SERVER_LANGUAGE);
  if (!parsed.success) throw new ConfigError(parsed.error.issues.map(({ message }) => `SERVER_LANGUAGE: ${message}`));
  return parsed.data;
}

/** The raw variables: mistakes in their combination are reported even if a single value is invalid, too. */
type Present = { readonly [Name in keyof Environment]?: string | undefined };

const isEmbedded = (values: Pick<Present, 'DATABASE_URL' | 'NATS_URL'>) =>
  values.DATABASE_URL === undefined && values.NATS_URL === undefined;

function authProblems(values: Present): string[] {
  const problems: string[] = [];
  const { AUTH_JWT_SECRET: secret, AUTH_JWKS_URL: jwksUrl } = values;
  const algorithms = list.optional().parse(values.AUTH_ALGORITHMS);
  if (secret !== undefined && jwksUrl !== undefined) {
    problems.push('AUTH_JWT_SECRET and AUTH_JWKS_URL: set one of the two, not both');
  }
  if (secret === undefined && jwksUrl === undefined && !isEmbedded(values)) {
    problems.push('AUTH_JWT_SECRET or AUTH_JWKS_URL: one of the two is needed to verify tokens');
  }
  if (secret !== undefined && Buffer.byteLength(secret) < minSecretBytes) {
    problems.push(`AUTH_JWT_SECRET: must have at least ${minSecretBytes} bytes, has ${Buffer.byteLength(secret)}`);
  }
  if (algorithms !== undefined && jwksUrl === undefined) {
    problems.push('AUTH_ALGORITHMS: only for AUTH_JWKS_URL; a secret always means HS256');
  }
  const unknown = algorithms?.filter((algorithm) => !asymmetricAlgorithms.includes(algorithm)) ?? [];
  if (unknown.length > 0 || algorithms?.length === 0) {
    problems.push(`AUTH_ALGORITHMS: must be a list of ${asymmetricAlgorithms.join(', ')}`);
  }
  return problems;
}

function modeProblems(values: Present): string[] {
  const problems: string[] = [];
  if (values.NODE_ENV === 'production') {
    if (values.DATABASE_URL === undefined) problems.push('DATABASE_URL: needed when NODE_ENV is production');
    if (values.NATS_URL === undefined) problems.push('NATS_URL: needed when NODE_ENV is production');
  }
  if ((values.NATS_USER === undefined) !== (values.NATS_PASSWORD === undefined)) {
    problems.push('NATS_USER and NATS_PASSWORD: go together');
  }
  if (values.NATS_CREDS !== undefined && values.NATS_USER !== undefined) {
    problems.push('NATS_CREDS and NATS_USER: set one of the two, not both');
  }
  if (values.NATS_CREDS !== undefined && !isReadable(values.NATS_CREDS)) {
    problems.push(`NATS_CREDS: ${values.NATS_CREDS} cannot be read`);
  }
  const isOn = (value: string | undefined) => onOff.safeParse(value).data === true;
  if (isOn(values.GRAPHIQL) && isOn(values.TRUSTED_DOCUMENTS_ONLY)) {
    problems.push('GRAPHIQL: cannot be on with TRUSTED_DOCUMENTS_ONLY=true, which refuses the documents that it sends');
  }
  return problems;
}

function storageProblems({ STORAGE_URL: url, STORAGE_KEY_ID: id, STORAGE_SECRET_KEY: secret }: Present): string[] {
  if (isBucket(url)) {
    return id === undefined || secret === undefined
      ? ['STORAGE_KEY_ID and STORAGE_SECRET_KEY: both are needed for an s3: address in STORAGE_URL']
      : [];
  }
  return id === undefined && secret === undefined
    ? []
    : ['STORAGE_KEY_ID and STORAGE_SECRET_KEY: only for an s3: address in STORAGE_URL'];
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** One core is left to the system, to the process that starts the workers, and to what else runs on the machine. */
const countDefaultWorkers = (): number => Math.min(Math.max(countUsableCores() - 1, 1), maxDefaultWorkers);

function toConfig(values: Environment): Config {
  const production = values.NODE_ENV === 'production';
  const embedded = isEmbedded(values);
  return {
    port: values.PORT,
    host: values.HOST ?? (embedded ? '127.0.0.1' : '0.0.0.0'),
    production,
    workers: values.WORKERS ?? (production ? countDefaultWorkers() : 1),
    embedded,
    dataDir: values.DATA_DIR,
    // In embedded mode the terminal shows the welcome text instead of a log.
    logLevel: values.LOG_LEVEL ?? (embedded ? 'warn' : 'info'),
    database: {
      url: values.DATABASE_URL,
      poolSize: values.DATABASE_POOL_SIZE,
      readPoolSize: values.READ_POOL_SIZE,
      replayPoolSize: values.REPLAY_POOL_SIZE,
    },
    nats: {
      url: values.NATS_URL,
      user: values.NATS_USER,
      password: values.NATS_PASSWORD,
      creds: values.NATS_CREDS,
      replicas: values.NATS_REPLICAS,
      replyPrefixes: values.NATS_REPLY_PREFIXES,
    },
    bookingEvents: { stream: values.BOOKING_EVENTS_STREAM, subjects: values.BOOKING_EVENTS_SUBJECTS },
    auth: {
      secret: values.AUTH_JWT_SECRET,
      jwksUrl: values.AUTH_JWKS_URL,
      algorithms: values.AUTH_JWKS_URL === undefined ? ['HS256'] : (values.AUTH_ALGORITHMS ?? ['RS256', 'ES256']),
      issuer: values.AUTH_ISSUER,
      audience: values.AUTH_AUDIENCE,
    },
    allowedOrigins: values.ALLOWED_ORIGINS,
    language: values.SERVER_LANGUAGE,
    userDirectory: values.USER_DIRECTORY ?? embedded,
    introspection: values.INTROSPECTION ?? !production,
    // It sends documents of its own.
    graphiql: values.GRAPHIQL ?? !(production || values.TRUSTED_DOCUMENTS_ONLY),
    webApp: {
      isServed: values.WEB_APP,
      frameAncestors: values.FRAME_ANCESTORS,
      imageOrigins: values.IMAGE_ORIGINS,
    },
    trustedDocuments: { manifests: values.TRUSTED_DOCUMENTS, only: values.TRUSTED_DOCUMENTS_ONLY },
    metricsToken: values.METRICS_TOKEN,
    files: {
      storageUrl: values.STORAGE_URL ?? (embedded ? `file:${join(values.DATA_DIR, 'files')}` : undefined),
      storageKey:
        values.STORAGE_KEY_ID === undefined || values.STORAGE_SECRET_KEY === undefined
          ? undefined
          : { id: values.STORAGE_KEY_ID, secret: values.STORAGE_SECRET_KEY },
      origin: values.FILES_ORIGIN ?? '',
      isScanned: values.FILES_SCAN,
    },
    limits: {
      maxBodyBytes: values.MAX_BODY_BYTES,
      maxAnswerBytes: values.MAX_ANSWER_BYTES,
      maxDepth: values.MAX_DEPTH,
      maxAliases: values.MAX_ALIASES,
      maxTokens: values.MAX_TOKENS,
      maxDocumentLength: values.MAX_DOCUMENT_LENGTH,
      maxDocumentLines: values.MAX_DOCUMENT_LINES,
      maxComplexity: values.MAX_COMPLEXITY,
      maxEventComplexity: values.MAX_EVENT_COMPLEXITY,
      maxSubscriptionsPerSocket: values.MAX_SUBSCRIPTIONS_PER_SOCKET,
      maxSocketsPerUser: values.MAX_SOCKETS_PER_USER,
      maxOperationsAtOnce: values.MAX_OPERATIONS_AT_ONCE,
      maxSubscriptionBytes: values.MAX_SUBSCRIPTION_BYTES,
      complexityPerMinute: values.COMPLEXITY_PER_MINUTE,
      operationsPerMinute: values.OPERATIONS_PER_MINUTE,
      sendsPerMinute: values.SENDS_PER_MINUTE,
      changesPerMinute: values.CHANGES_PER_MINUTE,
      subscriptionsPerMinute: values.SUBSCRIPTIONS_PER_MINUTE,
      replayedPerMinute: values.REPLAYED_PER_MINUTE,
      searchesPerMinute: values.SEARCHES_PER_MINUTE,
      newUsersPerDay: values.NEW_USERS_PER_DAY,
      maxContentLength: values.MAX_CONTENT_LENGTH,
      maxRoomMembers: values.MAX_ROOM_MEMBERS,
      maxPageSize: values.MAX_PAGE_SIZE,
      maxWatchedUsers: values.MAX_WATCHED_USERS,
      maxLag: values.MAX_LAG,
      epochGraceMs: values.EPOCH_GRACE_DAYS * dayMs,
      sendTimeoutMs: values.SEND_TIMEOUT_MS,
      keepAliveMs: values.KEEP_ALIVE_MS,
      maxStreamMs: values.MAX_STREAM_MS,
      maxFileBytes: values.MAX_FILE_BYTES,
      fileTypes: values.FILE_TYPES,
      filesPerMinute: values.FILES_PER_MINUTE,
      maxPendingFiles: values.MAX_PENDING_FILES,
      fileBytesPerDay: values.FILE_BYTES_PER_DAY,
      fileRetentionMs: values.ATTACHMENT_RETENTION_DAYS === 0 ? null : values.ATTACHMENT_RETENTION_DAYS * dayMs,
    },
  };
}
