import { spawn, spawnSync } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { isExecutable } from './is-executable.js';

/** There is no nats-server, and it could not be installed without asking the user. */
export class NatsServerNotFoundError extends Error {
  override readonly name = 'NatsServerNotFoundError';
  constructor(reason: string) {
    super(
      [
        `Fairway needs nats-server, which is not on this machine${reason === '' ? '' : ` (${reason})`}. Do one of these and start again:`,
        '  1. Install it with a package manager: "sudo apt-get install nats-server" (Debian, Ubuntu) or "brew install nats-server".',
        '  2. Download it from https://nats.io/download and put it on PATH.',
        '  3. Use a NATS server with JetStream that runs already: set NATS_URL (and NATS_USER, NATS_PASSWORD or NATS_CREDS).',
      ].join('\n'),
    );
  }
}

/** Package managers install servers in folders that are not on the PATH of ordinary users. */
const usualFolders = [
  '/usr/sbin',
  '/usr/local/sbin',
  '/usr/local/bin',
  '/usr/bin',
  '/opt/homebrew/bin',
  '/home/linuxbrew/.linuxbrew/bin',
];

/** The path of nats-server, or undefined. */
export function findNatsServer(
  folders: readonly string[] = [...(process.env['PATH'] ?? '').split(delimiter), ...usualFolders],
): string | undefined {
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, 'nats-server'))
    .find(isExecutable);
}

/**
 * Installs nats-server with the system's package manager if that needs no questions: apt-get as root, or brew.
 * @returns its path
 * @throws {NatsServerNotFoundError} with instructions
 */
export async function installNatsServer(): Promise<string> {
  const reason = await install();
  const path = findNatsServer();
  if (path === undefined) throw new NatsServerNotFoundError(reason);
  return path;
}

async function install(): Promise<string> {
  if (process.getuid?.() === 0 && hasCommand('apt-get')) {
    const aptInstall = () => run('apt-get', ['install', '-y', '-q', '--no-install-recommends', 'nats-server']);
    // Load the package lists only if they are missing, as in a fresh image.
    if ((await aptInstall()) === '') return '';
    const reason = await run('apt-get', ['update', '-q']);
    return (await aptInstall()) === '' ? '' : `apt-get could not install it${reason === '' ? '' : `: ${reason}`}`;
  }
  if (hasCommand('brew')) return run('brew', ['install', '--quiet', 'nats-server']);
  return '';
}

/** @returns an empty string, or the last line of the error output */
function run(command: string, args: string[]): Promise<string> {
  return new Promise((resolve) => {
    const env = {
      ...process.env,
      DEBIAN_FRONTEND: 'noninteractive',
      HOMEBREW_NO_AUTO_UPDATE: '1',
      NONINTERACTIVE: '1',
    };
    const child = spawn(command, args, { env, stdio: ['ignore', 'ignore', 'pipe'], timeout: 300_000 });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code) => resolve(code === 0 ? '' : (errors.trim().split('\n').at(-1) ?? `code ${code}`)));
  });
}

const hasCommand = (name: string) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0;
