import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** What is left of these behind a full collection; undefined in the place of each that nobody holds. */
export function collectGarbage<Value extends object>(refs: readonly WeakRef<Value>[]): (Value | undefined)[] {
  collect();
  return refs.map((ref) => ref.deref());
}
