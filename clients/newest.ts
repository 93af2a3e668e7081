/** How many objects of a kind are remembered: an answer is late by seconds. */
const rememberedObjects = 1_000;
/** What an edit or a deletion changes. Add what else you select of it. */
const changing = ['content', 'editedAt', 'deletedAt', 'attachments'] as const;
/** A file only moves forward. */
const stages = ['PENDING', 'PROCESSING', 'READY', 'FAILED', 'EXPIRED'];

type Fields = Readonly<Record<string, unknown>>;

/**
 * Answers over HTTP and events over the socket overtake each other, so an answer may bring an object as it was before an event
 * that is in the store already. This returns a function through which all results must go: it puts the later state into those
 * that come late. Of a message, the later state is the one that was edited later, and a deletion is later than any edit; of a
 * room it is that of the later position of its log. A read mark and a file only move forward. Another epoch of a room's log, and
 * `RoomResync`, begin anew: what a restored log has counts, even if it is older.
 */
export function createNewest(): <Result>(result: Result) => Result {
  const messages = new Map<string, Fields>();
  const files = new Map<string, Fields>();
  const rooms = new Map<string, Fields>();
  const marks = new Map<string, number>();

  const newest = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(newest);
    if (typeof value !== 'object' || value === null) return value;
    const object = Object.fromEntries(Object.entries(value).map(([name, field]) => [name, newest(field)]));
    if (object['__typename'] === 'Message') return newestMessage(object);
    if (object['__typename'] === 'Attachment') return newestFile(object);
    if (object['__typename'] === 'Room') return newestRoom(object);
    if (object['__typename'] === 'RoomMember') return newestMember(object);
    if (object['__typename'] === 'RoomResync') beginAnew();
    return object;
  };
  const beginAnew = () => {
    for (const known of [messages, files, rooms, marks]) known.clear();
  };
  const newestMessage = (message: Fields): Fields => {
    const id = String(message['id']);
    const known = messages.get(id);
    if (known === undefined || !isOlder(message, known)) {
      if (message['deletedAt'] != null) remember(messages, id, { ...known, ...message, content: null });
      else if (message['editedAt'] != null) remember(messages, id, { ...known, ...message });
    }
    // Found when the store reads them: graphcache keeps the answer to a send until others have come, and an event overtakes it.
    const find = (name: string) => {
      const later = messages.get(id);
      return later !== undefined && name in later && isOlder(message, later) ? later[name] : message[name];
    };
    const names = changing.filter((name) => name in message);
    const fields = names.map((name) => [name, { get: () => find(name), enumerable: true }]);
    return Object.defineProperties({ ...message }, Object.fromEntries(fields));
  };
  const newestFile = (file: Fields): Fields => {
    const known = files.get(String(file['id']));
    if (known !== undefined && stageOf(file) < stageOf(known)) return withLater(file, known);
    if (typeof file['status'] === 'string') remember(files, String(file['id']), { ...known, ...file });
    return file;
  };
  const newestRoom = (room: Fields): Fields => {
    const { id, seq, epoch } = room;
    const known = rooms.get(String(id));
    if (typeof seq !== 'number' || typeof epoch !== 'string') return room;
    if (known !== undefined && known['epoch'] !== epoch) beginAnew();
    else if (known !== undefined && seq < Number(known['seq'])) return withLater(room, known);
    remember(rooms, String(id), known?.['epoch'] === epoch && known['seq'] === seq ? { ...known, ...room } : room);
    return room;
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

const stageOf = ({ status }: Fields): number => stages.indexOf(String(status));

/** What both have, as the later one has it; an object only if it has all that is selected here. */
function withLater(object: Fields, later: Fields): Fields {
  const isIn = (name: string) =>
    name in later && namesOf(object[name]).every((it) => namesOf(later[name]).includes(it));
  const names = Object.keys(object).filter((name) => later[name] === null || isIn(name));
  return { ...object, ...Object.fromEntries(names.map((name) => [name, later[name]])) };
}

const namesOf = (value: unknown): string[] => (typeof value === 'object' && value !== null ? Object.keys(value) : []);

function remember<Value>(known: Map<string, Value>, id: string, value: Value): void {
  known.delete(id);
  known.set(id, value);
  const [oldest] = known.keys();
  if (known.size > rememberedObjects && oldest !== undefined) known.delete(oldest);
}
