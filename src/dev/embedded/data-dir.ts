import { randomBytes, randomUUID } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { identifyProcess, isRunning, type ProcessIdentity } from './process-identity.js';
import { makeOpenFolder } from './unprivileged.js';

/** The folder with all data of the embedded servers. This process holds its lock until `release`. */
export interface DataDir {
  readonly path: string;
  /** Lets waiting processes know that the folder will be free soon. */
  announceStop(): void;
  release(): void;
}

/** Another running Fairway uses the folder. */
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
  /** Distinguishes two holders in one process. */
  readonly nonce: string;
  readonly stopping: boolean;
}

/** Long enough to notice that the holder has lost its terminal and begins to stop. */
const patienceMs = 2_000;
const stoppingPatienceMs = 20_000;
const pollMs = 50;

/**
 * Creates the folder if necessary and locks it. Ignores the lock of a process that was killed, even if another process has
 * the same number now. Waits for a holder that is stopping.
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

/** The secret with this name in the folder: 43 characters, 256 bits, readable by the owner only. Created by the first call. */
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

/** Creates the file if it does not exist, and returns its content. The creation is atomic. */
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

/** Two processes may find the same stale lock: the slower one must not remove the new lock of the faster one. */
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
