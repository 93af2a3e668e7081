import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Runs a full collection, and returns the referenced objects; undefined for each that was collected. */
export function collectGarbage<Value extends object>(refs: readonly WeakRef<Value>[]): (Value | undefined)[] {
  collect();
  return refs.map((ref) => ref.deref());
}
