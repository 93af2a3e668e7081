/** How many changes are remembered: an answer is late by seconds. */
const rememberedChanges = 1_000;
/** What an edit or a deletion changes. Add what else you select of it. */
const changing = ['content', 'editedAt', 'deletedAt'] as const;

type Fields = Readonly<Record<string, unknown>>;

/**
 * Answers over HTTP and events over the socket overtake each other, so an answer may bring a message as it was before an event
 * that is in the store already. This returns a function through which all results must go: it puts the later state into those
 * that come late. A deletion is later than any edit, and a read mark only moves forward. `RoomResync` begins anew: what a
 * restored log has counts, even if it is older.
 */
export function createNewest(): <Result>(result: Result) => Result {
  const changes = new Map<string, Fields>();
  const marks = new Map<string, number>();

  const newest = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(newest);
    if (typeof value !== 'object' || value === null) return value;
    const object = Object.fromEntries(Object.entries(value).map(([name, field]) => [name, newest(field)]));
    if (object['__typename'] === 'Message') return newestMessage(object);
    if (object['__typename'] === 'RoomMember') return newestMember(object);
    if (object['__typename'] === 'RoomResync') for (const known of [changes, marks]) known.clear();
    return object;
  };
  const newestMessage = (message: Fields): Fields => {
    const id = String(message['id']);
    const known = changes.get(id);
    if (known !== undefined && isOlder(message, known)) {
      const later = changing.filter((name) => name in message && name in known).map((name) => [name, known[name]]);
      return { ...message, ...Object.fromEntries(later) };
    }
    if (message['deletedAt'] != null) remember(changes, id, { ...known, ...message, content: null });
    else if (message['editedAt'] != null) remember(changes, id, { ...known, ...message });
    return message;
  };
  const newestMember = (member: Fields): Fields => {
    const { id, lastReadSeq } = member;
    if (typeof lastReadSeq !== 'number') return member;
    const mark = Math.max(lastReadSeq, marks.get(String(id)) ?? 0);
    remember(marks, String(id), mark);
    return { ...member, lastReadSeq: mark };
  };
  return <Result>(result: Result) => newest(result) as Result;
}

/** A copy without `editedAt` may be of any age, unless the message is deleted. */
function isOlder(message: Fields, known: Fields): boolean {
  if (known['deletedAt'] != null) return message['deletedAt'] == null;
  if (message['deletedAt'] != null || message['editedAt'] === undefined) return false;
  return timeOf(message['editedAt']) < timeOf(known['editedAt']);
}

const timeOf = (date: unknown): number => (typeof date === 'string' ? Date.parse(date) : 0);

function remember<Value>(known: Map<string, Value>, id: string, value: Value): void {
  known.delete(id);
  known.set(id, value);
  const [oldest] = known.keys();
  if (known.size > rememberedChanges && oldest !== undefined) known.delete(oldest);
}
