import { randomBytes, randomUUID } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { identifyProcess, isRunning, type ProcessIdentity } from './process-identity.js';
import { makeOpenFolder } from './unprivileged.js';

/** The folder of everything that the embedded servers keep, held by this process alone until `release`. */
export interface DataDir {
  readonly path: string;
  /** Tells those who wait for the folder that it will be free soon. */
  announceStop(): void;
  release(): void;
}

/** A living Fairway works on that folder. */
export class DataDirInUseError extends Error {
  override readonly name = 'DataDirInUseError';
  constructor(path: string, pid: number) {
    super(
      `The data folder ${path} is in use by another Fairway (process ${pid}).\n` +
        'Stop that one, or give this one its own: DATA_DIR=.data-2 PORT=4001 npm start',
    );
  }
}

interface Lock extends ProcessIdentity {
  /** Tells two holders within one process apart. */
  readonly nonce: string;
  readonly stopping: boolean;
}

/** Long enough to see that the holder has lost its terminal and begins to stop. */
const patienceMs = 2_000;
const stoppingPatienceMs = 20_000;
const pollMs = 50;

/**
 * Creates the folder if need be and locks it. The lock of a process that was killed counts for nothing, also when
 * another process has its number by now; one that is just stopping is waited for.
 * @throws {DataDirInUseError}
 */
export async function openDataDir(folder: string): Promise<DataDir> {
  const path = resolve(folder);
  makeOpenFolder(path);
  const lockPath = join(path, 'lock');
  const me = { ...identifyProcess(process.pid), nonce: randomUUID() };
  await takeLock(lockPath, me, path);
  return {
    path,
    announceStop: () => replaceFile(lockPath, JSON.stringify({ ...me, stopping: true } satisfies Lock)),
    release: () => rmSync(lockPath, { force: true }),
  };
}

/** The secret of that name in the folder, made at the first call: 43 characters, 256 bits, readable by its owner only. */
export function readOrCreateSecret(folder: string, name: string): string {
  const path = join(resolve(folder), name);
  makeOpenFolder(resolve(folder));
  return readIfThere(path) ?? createOnce(path, randomBytes(32).toString('base64url'));
}

async function takeLock(lockPath: string, me: Omit<Lock, 'stopping'>, folder: string): Promise<void> {
  const mine = JSON.stringify({ ...me, stopping: false } satisfies Lock);
  const startedAt = performance.now();
  for (;;) {
    const found = createOnce(lockPath, mine);
    if (found === mine) return;
    const holder = parseLock(found);
    if (holder === undefined || !isRunning(holder)) {
      dropStale(lockPath, found);
      continue;
    }
    const patience = holder.stopping ? stoppingPatienceMs : patienceMs;
    if (performance.now() - startedAt > patience) throw new DataDirInUseError(folder, holder.pid);
    await delay(pollMs);
  }
}

/** Puts the content there unless there is one, and returns what is there. Nobody ever sees half of it. */
function createOnce(path: string, content: string): string {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, content, { mode: 0o600 });
  try {
    linkSync(draft, path);
    return content;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return readIfThere(path) ?? createOnce(path, content);
  } finally {
    rmSync(draft, { force: true });
  }
}

function replaceFile(path: string, content: string): void {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, content, { mode: 0o600 });
  renameSync(draft, path);
}

/** Two may find the same stale lock, and the slower one must not remove the quicker one's new lock. */
function dropStale(lockPath: string, stale: string): void {
  const aside = `${lockPath}.${process.pid}.stale`;
  try {
    renameSync(lockPath, aside);
    if (readIfThere(aside) !== stale) linkSync(aside, lockPath);
    unlinkSync(aside);
  } catch {
    rmSync(aside, { force: true });
  }
}

function parseLock(content: string): Lock | undefined {
  try {
    const lock = JSON.parse(content) as Lock;
    return Number.isInteger(lock.pid) && lock.pid > 0 ? lock : undefined;
  } catch {
    return undefined;
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
