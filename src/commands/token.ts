import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { signToken } from '../auth/sign-token.js';
import { readConfig } from '../config.js';
import { readOrCreateSecret } from '../dev/embedded/data-dir.js';
import { authSecretName } from '../dev/embedded/embedded-servers.js';
import { CommandError, runCommand } from './run-command.js';

const usage = 'npm run token -- --user 4 [--name 김철수] [--ttl 12h]';
const maxUserId = 2 ** 31 - 1;
const maxTtlSeconds = 24 * 60 * 60;

/** `npm run token`: prints a token for a user, signed with AUTH_JWT_SECRET or with the secret of the embedded mode. */
await runCommand(async () => {
  const { user, name, ttl } = readArguments();
  const { auth, embedded, dataDir } = readConfig(process.env);
  if (auth.secret === undefined && embedded && !existsSync(dataDir)) {
    throw new CommandError(`There is no data folder ${dataDir} yet: start Fairway first, or set its DATA_DIR.`);
  }
  const secret =
    auth.secret ?? (embedded && auth.jwksUrl === undefined ? readOrCreateSecret(dataDir, authSecretName) : undefined);
  if (secret === undefined) {
    throw new CommandError('Tokens for AUTH_JWKS_URL are signed with a private key, which Fairway does not have.');
  }
  const claims = name === undefined ? { userId: user } : { userId: user, name };
  return signToken(secret, claims, {
    expiresIn: ttl,
    ...(auth.issuer === undefined ? {} : { issuer: auth.issuer }),
    ...(auth.audience === undefined ? {} : { audience: auth.audience }),
  });
});

function readArguments(): { user: number; name: string | undefined; ttl: string } {
  const { values } = parseArguments();
  const user = Number(values.user);
  if (!Number.isInteger(user) || user < 1 || user > maxUserId) {
    throw new CommandError(`--user: the number of a user, 1 to ${maxUserId}\n${usage}`);
  }
  if (!isTtl(values.ttl)) throw new CommandError(`--ttl: a time such as 30m or 12h, at most 24h\n${usage}`);
  return { user, name: values.name, ttl: values.ttl };
}

/** The server accepts a token for 24 hours at most. */
function isTtl(text: string): boolean {
  const [, amount, unit] = /^(\d+)([smh])$/.exec(text) ?? [];
  const seconds = Number(amount) * ({ s: 1, m: 60, h: 3_600 }[unit ?? ''] ?? Number.NaN);
  return seconds > 0 && seconds <= maxTtlSeconds;
}

function parseArguments() {
  try {
    return parseArgs({
      options: { user: { type: 'string' }, name: { type: 'string' }, ttl: { type: 'string', default: '12h' } },
    });
  } catch (error) {
    throw new CommandError(`${(error as Error).message}\n${usage}`);
  }
}
