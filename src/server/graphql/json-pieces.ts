/** A container that is being printed. */
interface Level {
  /** The names of an object's values; undefined for an array. */
  readonly names: readonly string[] | undefined;
  readonly values: readonly unknown[];
  next: number;
  isEmpty: boolean;
}

/**
 * Yields the text of `JSON.stringify(value)` in pieces of at least this many UTF-16 units, the last one excepted. A piece is
 * longer by one string or number at most. Only containers and their plain values are divided: a value with `toJSON` is not.
 * Yields nothing for what JSON cannot express.
 */
export function* jsonPieces(value: unknown, minLength: number): Generator<string, void> {
  const levels: Level[] = [];
  let text = '';
  const open = (container: object): void => {
    const isArray = Array.isArray(container);
    text += isArray ? '[' : '{';
    const names = isArray ? undefined : Object.keys(container);
    levels.push({ names, values: isArray ? container : Object.values(container), next: 0, isEmpty: true });
  };
  if (isContainer(value)) open(value);
  else text = JSON.stringify(value) ?? '';
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const { names, values } = level;
    if (level.next === values.length) {
      text += names === undefined ? ']' : '}';
      levels.pop();
    } else {
      const name = names?.[level.next];
      const inner = values[level.next];
      level.next += 1;
      const container = isContainer(inner) ? inner : undefined;
      const printed = container === undefined ? JSON.stringify(inner) : '';
      if (printed === undefined && name !== undefined) continue;
      text += `${level.isEmpty ? '' : ','}${name === undefined ? '' : `${JSON.stringify(name)}:`}${printed ?? 'null'}`;
      level.isEmpty = false;
      if (container !== undefined) open(container);
    }
    if (text.length >= minLength) {
      yield text;
      text = '';
    }
  }
  if (text !== '') yield text;
}

function isContainer(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || 'toJSON' in value) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return Array.isArray(value) || prototype === null || prototype === Object.prototype;
}
