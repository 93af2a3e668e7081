import { describe, expect, it } from 'vitest';
import { ConfigError, environment, readConfig } from '../../src/config.js';
import { countUsableCores } from '../../src/workers/usable-cores.js';

const secret = 'x'.repeat(32);
const servers = { DATABASE_URL: 'postgres://db/chat', NATS_URL: 'nats://nats:4222', AUTH_JWT_SECRET: secret };

const bucket = 's3://chat/prod?region=ap-northeast-2';
const key = { STORAGE_KEY_ID: 'AKIA', STORAGE_SECRET_KEY: 'hidden' };

/** The problems that readConfig reports, or none. */
function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    readConfig(env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

/** The variables that the problems begin with. */
const blamed = (env: Record<string, string>) => problemsOf(env).map((problem) => /^[A-Z_]+/.exec(problem)?.[0]);

describe('readConfig', () => {
  it('needs no variable: the server is embedded then, for this machine only, with directory and GraphiQL', () => {
    expect(readConfig({})).toMatchObject({
      embedded: true,
      production: false,
      host: '127.0.0.1',
      port: 4000,
      userDirectory: true,
      introspection: true,
      graphiql: true,
      auth: { algorithms: ['HS256'] },
    });
  });

  it('opens a production server to all hosts, without directory, introspection and GraphiQL', () => {
    expect(readConfig({ ...servers, NODE_ENV: 'production' })).toMatchObject({
      embedded: false,
      production: true,
      host: '0.0.0.0',
      userDirectory: false,
      introspection: false,
      graphiql: false,
      allowedOrigins: [],
    });
  });

  it.each(['https://a.example;sandbox', 'https://a.example,b', "app://x'y"])(
    'refuses %j where it would become a rule of the page',
    (origin) => {
      // A comma separates two of them.
      const expected = origin.includes(',') ? ['FRAME_ANCESTORS'] : ['FRAME_ANCESTORS', 'IMAGE_ORIGINS'];
      expect(blamed({ FRAME_ANCESTORS: origin, IMAGE_ORIGINS: origin.replace(',b', '') })).toEqual(expected);
    },
  );

  it('starts one process, and in production one for each usable core but one, up to 8', () => {
    expect(readConfig({}).workers).toBe(1);
    expect(readConfig(servers).workers).toBe(1);
    expect(readConfig({ ...servers, WORKERS: '12' }).workers).toBe(12);
    const expected = Math.min(Math.max(countUsableCores() - 1, 1), 8);
    expect(readConfig({ ...servers, NODE_ENV: 'production' }).workers).toBe(expected);
    expect(blamed({ WORKERS: '0' })).toEqual(['WORKERS']);
  });

  it.each([
    ['?schema=chat', ['DATABASE_URL: ?schema= must be public: give Fairway a database of its own instead']],
    [
      '?pgbouncer=true',
      ['DATABASE_URL: ?pgbouncer= is not supported: a pooler must be in session mode, and needs no parameter then'],
    ],
    ['?connect_timeout=30', ['DATABASE_URL: ?connect_timeout= is not supported']],
    ['?schema=public&sslmode=verify-full&sslrootcert=/ca.pem&application_name=chat', []],
  ])('accepts only supported parameters in DATABASE_URL%s', (parameters, problems) => {
    expect(problemsOf({ ...servers, DATABASE_URL: `${servers.DATABASE_URL}${parameters}` })).toEqual(problems);
  });

  it('accepts an address for HOST in the form of a URL', () => {
    expect(readConfig({ ...servers, HOST: '[::1]' }).host).toBe('::1');
  });

  it('treats an empty variable as absent', () => {
    const empty = Object.fromEntries(
      ['PORT', 'HOST', 'DATABASE_URL', 'NATS_URL', 'AUTH_JWT_SECRET', 'AUTH_JWKS_URL', 'LOG_LEVEL', 'NATS_USER'].map(
        (name) => [name, ''],
      ),
    );

    expect(readConfig(empty)).toEqual(readConfig({}));
  });

  it('allows replies to the usual inbox prefixes, or to the configured ones', () => {
    const prefixesOf = (text: string) => readConfig({ NATS_REPLY_PREFIXES: text }).nats.replyPrefixes;

    expect(prefixesOf('')).toEqual(['_INBOX.', '_R_.']);
    expect(prefixesOf('_R_., _INBOX.bff.')).toEqual(['_R_.', '_INBOX.bff.']);
    for (const wrong of [
      '_INBOX',
      '.',
      'a..',
      '>',
      '_INBOX.>',
      'chat.',
      'chat.user.',
      '$JS.',
      '_INBOX_FAIRWAY.',
      ',',
    ]) {
      expect(blamed({ NATS_REPLY_PREFIXES: wrong }), wrong).toEqual(['NATS_REPLY_PREFIXES']);
    }
  });

  it('listens for booking events only if their stream is named', () => {
    const subjects = ['booking.*.created', 'booking.*.updated', 'booking.*.cancelled'];

    expect(readConfig({}).bookingEvents).toEqual({ stream: undefined, subjects });
    expect(
      readConfig({ BOOKING_EVENTS_STREAM: 'TEE_TIMES', BOOKING_EVENTS_SUBJECTS: 'kr.tee.*.updated' }).bookingEvents,
    ).toEqual({ stream: 'TEE_TIMES', subjects: ['kr.tee.*.updated'] });
  });

  it('accepts Korean or English as the language', () => {
    expect(readConfig({}).language).toBe('ko');
    expect(readConfig({ SERVER_LANGUAGE: 'en' }).language).toBe('en');
    expect(problemsOf({ SERVER_LANGUAGE: 'fr' })).toEqual(['SERVER_LANGUAGE: must be ko or en']);
  });

  it('reads lists with spaces and empty items', () => {
    const origins = 'https://a.example, https://b.example:8443,,';

    expect(readConfig({ ALLOWED_ORIGINS: origins }).allowedOrigins).toEqual([
      'https://a.example',
      'https://b.example:8443',
    ]);
  });

  it('accepts origins of apps, and normalizes each', () => {
    const origins =
      'capacitor://localhost,ionic://localhost,tauri://localhost,app://-,https://A.example:443,wss://b.example';

    expect(readConfig({ ALLOWED_ORIGINS: origins }).allowedOrigins).toEqual([
      'capacitor://localhost',
      'ionic://localhost',
      'tauri://localhost',
      'app://-',
      'https://a.example',
      'https://b.example',
    ]);
  });

  it('lists all problems at once, of single variables and of combinations', () => {
    const mistakes = {
      NODE_ENV: 'production',
      PORT: 'http',
      LOG_LEVEL: 'loud',
      DATABASE_URL: 'mysql://db/chat',
      AUTH_JWT_SECRET: 'short',
      ALLOWED_ORIGINS: 'https://a.example/path',
      NATS_USER: 'fairway',
      MAX_DEPTH: '0',
    };

    expect(blamed(mistakes).sort()).toEqual([
      'ALLOWED_ORIGINS',
      'AUTH_JWT_SECRET',
      'DATABASE_URL',
      'LOG_LEVEL',
      'MAX_DEPTH',
      'NATS_URL',
      'NATS_USER',
      'PORT',
    ]);
  });

  it('says in its own words what each variable must be', () => {
    const problems = Object.keys(environment.shape).flatMap((name) => problemsOf({ [name]: '!' }));
    expect(
      problems.filter((problem) => problem.startsWith('LOG_LEVEL') || problem.startsWith('METRICS_TOKEN')),
    ).toHaveLength(2);
    expect(problems.filter((problem) => /Invalid|expected/i.test(problem))).toEqual([]);
  });

  it('says how to correct each problem, one per line', () => {
    expect(() => readConfig({ PORT: '70000', AUTH_JWT_SECRET: 'short' })).toThrow(
      /^The configuration cannot be used:\n {2}- PORT: .*65535\n {2}- AUTH_JWT_SECRET: must have at least 32 bytes, has 5$/,
    );
  });

  it.each<[string, Record<string, string>, string[]]>([
    [
      'production without its servers',
      { NODE_ENV: 'production', AUTH_JWT_SECRET: secret },
      ['DATABASE_URL', 'NATS_URL'],
    ],
    ['production with PostgreSQL only', { ...servers, NATS_URL: '', NODE_ENV: 'production' }, ['NATS_URL']],
    ['no way to verify tokens', { ...servers, AUTH_JWT_SECRET: '' }, ['AUTH_JWT_SECRET']],
    ['two ways to verify tokens', { ...servers, AUTH_JWKS_URL: 'https://id.example/jwks' }, ['AUTH_JWT_SECRET']],
    ['a secret of 31 bytes', { ...servers, AUTH_JWT_SECRET: 'x'.repeat(31) }, ['AUTH_JWT_SECRET']],
    ['a key server that is not a URL', { ...servers, AUTH_JWT_SECRET: '', AUTH_JWKS_URL: 'id' }, ['AUTH_JWKS_URL']],
    ['algorithms for a secret', { ...servers, AUTH_ALGORITHMS: 'RS256' }, ['AUTH_ALGORITHMS']],
    [
      'an algorithm that lets anybody sign',
      { ...servers, AUTH_JWT_SECRET: '', AUTH_JWKS_URL: 'https://id.example/jwks', AUTH_ALGORITHMS: 'RS256,none' },
      ['AUTH_ALGORITHMS'],
    ],
    ['a user without a password', { ...servers, NATS_USER: 'fairway' }, ['NATS_USER']],
    [
      'two ways to log in to NATS',
      { ...servers, NATS_USER: 'a', NATS_PASSWORD: 'b', NATS_CREDS: import.meta.filename },
      ['NATS_CREDS'],
    ],
    ['credentials that are not there', { ...servers, NATS_CREDS: '/nowhere/nats.creds' }, ['NATS_CREDS']],
    ['an invalid address of NATS', { ...servers, NATS_URL: 'http://nats:4222' }, ['NATS_URL']],
    ['an origin with a path', { ALLOWED_ORIGINS: 'https://a.example/' }, ['ALLOWED_ORIGINS']],
    ['an origin with a wildcard', { ALLOWED_ORIGINS: 'https://*.example' }, ['ALLOWED_ORIGINS']],
    ['a switch that is neither on nor off', { USER_DIRECTORY: 'yes' }, ['USER_DIRECTORY']],
    ['a limit that is not a number', { MAX_BODY_BYTES: '256 KB' }, ['MAX_BODY_BYTES']],
    ['a stream whose name cannot be one', { BOOKING_EVENTS_STREAM: 'booking.events' }, ['BOOKING_EVENTS_STREAM']],
    ['events of an unknown kind', { BOOKING_EVENTS_SUBJECTS: 'booking.*.paid' }, ['BOOKING_EVENTS_SUBJECTS']],
    ['a wildcard for all events', { BOOKING_EVENTS_SUBJECTS: 'booking.>' }, ['BOOKING_EVENTS_SUBJECTS']],
    ['no events at all', { BOOKING_EVENTS_SUBJECTS: ', ' }, ['BOOKING_EVENTS_SUBJECTS']],
    ['a storage that is neither a folder nor a bucket', { STORAGE_URL: 'gs://chat' }, ['STORAGE_URL']],
    ['a bucket without its region', { ...key, STORAGE_URL: 's3://chat' }, ['STORAGE_URL']],
    ['a bucket without a key', { STORAGE_URL: bucket }, ['STORAGE_KEY_ID']],
    ['half a key', { ...key, STORAGE_URL: bucket, STORAGE_SECRET_KEY: '' }, ['STORAGE_KEY_ID']],
    ['a key for a folder', { ...key, STORAGE_URL: 'file:///srv/files' }, ['STORAGE_KEY_ID']],
    ['a limit of 0', { SENDS_PER_MINUTE: '0' }, ['SENDS_PER_MINUTE']],
    ['streams that live for less than a second', { MAX_STREAM_MS: '999' }, ['MAX_STREAM_MS']],
  ])('refuses %s', (_what, env, expected) => {
    expect(blamed(env)).toEqual(expected);
  });

  it.each([
    ['a secret of 32 bytes in fewer characters', { ...servers, AUTH_JWT_SECRET: '가'.repeat(11) }],
    ['a key server', { ...servers, AUTH_JWT_SECRET: '', AUTH_JWKS_URL: 'https://id.example/jwks' }],
    ['PostgreSQL without NATS, outside of production', { ...servers, NATS_URL: '' }],
  ])('accepts %s', (_what, env) => {
    expect(problemsOf(env)).toEqual([]);
  });

  it('keeps files in a folder or in a bucket, and never prints the key', () => {
    expect(readConfig({}).files).toMatchObject({ storageUrl: 'file:.data/files', storageKey: undefined });
    expect(readConfig({ ...key, STORAGE_URL: bucket }).files).toMatchObject({
      storageUrl: bucket,
      storageKey: { id: 'AKIA', secret: 'hidden' },
    });
    const wrong = ['s3://x:hidden@chat?region=r', 's3://chat?region=r&secret=hidden', 's3://'];
    for (const url of wrong) {
      const problems = problemsOf({ ...key, STORAGE_URL: url });
      expect(problems.map((problem) => problem.split(':')[0])).toEqual(['STORAGE_URL']);
      expect(problems.join()).not.toContain('hidden');
    }
  });

  it('returns a config that cannot be changed', () => {
    const config = readConfig({});

    expect(() => Object.assign(config, { port: 1 })).toThrow(TypeError);
  });
});
