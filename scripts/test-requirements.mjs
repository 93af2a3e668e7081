import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { step } from './progress.mjs';
import { runAndCollect } from './run-command.mjs';

/** @returns {Promise<string>} why the tests that need it will be skipped, or an empty string */
export const ensureNatsServer = () =>
  ensure('nats-server', [['nats-server']], { apt: ['nats-server'], brew: ['nats-server'] });

/** @returns {Promise<string>} why the tests that need it will be skipped, or an empty string */
export const ensureChromium = () =>
  ensure(
    'Chromium',
    [['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'Chromium', 'Google Chrome']],
    { apt: ['chromium'] },
  );

/** @returns {Promise<string>} why the tests that need it will be skipped, or an empty string */
export const ensurePgbouncer = () => ensure('PgBouncer', [['pgbouncer']], { apt: ['pgbouncer'], brew: ['pgbouncer'] });

/** @returns {Promise<string>} why the tests that need an S3 will be skipped, or an empty string */
export const ensureSwift = () =>
  ensure(
    'OpenStack Swift',
    [
      ['swift-proxy-server'],
      ['swift-account-server'],
      ['swift-container-server'],
      ['swift-object-server'],
      ['memcached'],
    ],
    { apt: ['swift-proxy', 'swift-account', 'swift-container', 'swift-object', 'memcached'] },
  );

const usualFolders = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin', '/usr/bin', '/opt/homebrew/bin', '/snap/bin'];
const macApps = ['/Applications/Chromium.app/Contents/MacOS', '/Applications/Google Chrome.app/Contents/MacOS'];

/**
 * Installs a program with the system's package manager if that needs no questions.
 * @param {string} name
 * @param {string[][]} programs what is needed, each under any of its names
 * @param {{ apt: string[], brew?: string[] }} packages
 * @returns {Promise<string>}
 */
async function ensure(name, programs, { apt, brew }) {
  const areThere = () => programs.every(isThere);
  if (areThere()) return '';
  if (process.getuid?.() === 0 && isThere(['apt-get'])) await step(`Installing ${name}`, () => aptInstall(apt));
  else if (brew !== undefined && isThere(['brew']))
    await step(`Installing ${name}`, () => runAndCollect('brew', ['install', ...brew]));
  return areThere()
    ? ''
    : `${name} is not on this machine and could not be installed; tests that need it were not run.`;
}

/** @param {string[]} packages */
async function aptInstall(packages) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = () =>
    runAndCollect('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...packages], { env });
  if ((await install()).code === 0) return;
  await runAndCollect('apt-get', ['update', '-q'], { env });
  await install();
}

/** @param {string[]} programs */
function isThere(programs) {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...usualFolders, ...macApps];
  return folders.some((folder) => folder !== '' && programs.some((program) => isExecutable(join(folder, program))));
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
