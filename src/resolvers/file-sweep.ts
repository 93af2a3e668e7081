import pLimit from 'p-limit';
import {
  beginSweep,
  countKept,
  findKept,
  findSweepResult,
  type KeptFile,
  mayErase,
  noteSweep,
  type SweepResult,
} from '../db/file-sweeps.js';
import { isUuid } from '../domain/ids.js';
import { removeAbandoned } from '../files/file-steps.js';
import { incomingKey, receivedKey, type Storage, type StoredObject, versionKey } from '../files/storage.js';
import type { Deps } from './deps.js';
import { requireFiles } from './files.js';

const everyMs = 3_600_000;
/** Younger objects and rows may be on their way. */
const settledMs = 86_400_000;
/** Nothing younger is erased. */
const keptMs = 7 * 86_400_000;
/** So many objects are compared in one statement, and no more of them are in memory. */
const atOnce = 1_000;
const removalsAtOnce = 8;
/** All that is kept of files. Others share the storage, and have objects of their own. */
const prefixes = ['files/', 'incoming/', 'scratch/'];

/**
 * Compares the storage with the rows, if no instance has done it within the last hour, and erases old objects that no row needs.
 * Resolves with the last result, if there is one.
 */
export async function sweepFiles(deps: Deps): Promise<SweepResult | null> {
  const { db } = deps;
  await removeAbandoned();
  const beganAt = await beginSweep(db, everyMs);
  if (beganAt !== null) await noteSweep(db, await compare(deps, beganAt.getTime()));
  return findSweepResult(db);
}

/** Objects that change meanwhile are too young to count. */
async function compare(deps: Deps, now: number): Promise<SweepResult> {
  const { db } = deps;
  const { storage } = requireFiles(deps);
  const settledAt = new Date(now - settledMs);
  const expected = await countKept(db, settledAt);
  const limit = pLimit(removalsAtOnce);
  let [found, orphans] = [0, 0];
  for await (const objects of inParts(storage)) {
    const ids = [...new Set(objects.map(idOf).filter((id) => id !== null))];
    const files = new Map((await findKept(db, ids, settledAt)).map((file) => [file.id, file]));
    const isErasing = await mayErase(db);
    const old: string[] = [];
    for (const object of objects) {
      const file = files.get(idOf(object) ?? '');
      const age = now - object.modifiedAt.getTime();
      if (file?.isOld && object.key === mainKeyOf(file)) found += 1;
      if (isNeeded(object, file) || age < settledMs) continue;
      if (isErasing && age > keptMs) old.push(object.key);
      else orphans += 1;
    }
    await Promise.all(old.map((key) => limit(() => storage.remove(key))));
  }
  return { orphans, missing: Math.max(0, expected - found) };
}

async function* inParts(storage: Storage): AsyncGenerator<StoredObject[]> {
  for (const prefix of prefixes) {
    let part: StoredObject[] = [];
    for await (const object of storage.list(prefix)) {
      if (part.push(object) < atOnce) continue;
      yield part;
      part = [];
    }
    yield part;
  }
}

function idOf({ key }: StoredObject): string | null {
  const id = key.split('/')[1] ?? '';
  return !key.startsWith('scratch/') && isUuid(id) ? id : null;
}

/** The object without which a file cannot be read, or finished. */
const mainKeyOf = ({ id, status, kind, reception }: KeptFile): string =>
  status === 'READY' && kind === 'IMAGE' ? versionKey(id, 'original') : receivedKey(id, reception);

function isNeeded({ key }: StoredObject, file: KeptFile | undefined): boolean {
  if (file === undefined) return false;
  if (key === incomingKey(file.id)) return file.status === 'PENDING';
  // Of what was received, only the copy that counts, and of a picture only until it is finished.
  return key === mainKeyOf(file) || !key.startsWith(receivedKey(file.id, null));
}
