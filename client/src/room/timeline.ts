import type { FairwayErrorCode } from '../errors.js';
import type { Files, TimelineAttachment } from '../outbox/files.js';
import { hasFiles, type QueuedOperation } from '../outbox/operation.js';
import type { User } from '../viewer.js';
import type { Log, Message } from './log.js';
import { countUnread, type Marks } from './read-state.js';

/**
 * `pending`: on its way. `waiting`: behind another one that has failed. `failed`: given up until it is retried or discarded.
 * A message that is being edited or deleted has the status of the change.
 */
export type MessageStatus = 'sent' | 'pending' | 'waiting' | 'failed';

/** A message as a client shows it. */
export interface TimelineMessage {
  readonly id: string;
  /** Null for a message that the server has not confirmed. */
  readonly seq: number | null;
  readonly type: Message['type'];
  /** Null once deleted. */
  readonly content: string | null;
  readonly sender: User;
  readonly senderName: string;
  /** Its files, in the order to show. */
  readonly attachments: readonly TimelineAttachment[];
  readonly system: Message['system'];
  /** ISO 8601; of this device's clock until the server has confirmed the message. */
  readonly createdAt: string;
  readonly editedAt: string | null;
  readonly deletedAt: string | null;
  readonly status: MessageStatus;
  /** Why it has failed; null unless `status` is `failed`. */
  readonly error: FairwayErrorCode | null;
  /** How many members have not read it; null while that is unknown. */
  readonly unreadMemberCount: number | null;
  readonly canEdit: boolean;
  readonly canDelete: boolean;
}

interface TimelineInput {
  readonly log: Log | undefined;
  /** Messages that the server has confirmed before their events have arrived. */
  readonly confirmed: readonly Message[];
  readonly operations: readonly QueuedOperation[];
  readonly marks: Marks;
  readonly viewer: User | null;
  readonly isAdmin: boolean;
  readonly canSend: boolean;
  readonly files: Files | undefined;
}

/**
 * Builds the messages of a room from its log and the outbox. A message keeps its identity until something of it changes, and
 * an event costs next to nothing for the messages that it does not touch, of which there may be thousands.
 */
export function createTimeline(): (input: TimelineInput) => readonly TimelineMessage[] {
  let shown = new Map<string, TimelineMessage>();
  let list: readonly TimelineMessage[] = [];
  let last: TimelineInput | undefined;
  /** What was built of messages without changes under way: right for as long as all but the log and the outbox is the same. */
  let built = new WeakMap<Message, TimelineMessage>();
  return (input) => {
    if (!(['marks', 'viewer', 'isAdmin', 'canSend'] as const).every((key) => input[key] === last?.[key])) {
      built = new WeakMap();
    }
    last = input;
    const next = new Map<string, TimelineMessage>();
    for (const message of build(input, built, shown)) next.set(message.id, message);
    shown = next;
    const messages = [...next.values()];
    if (messages.length !== list.length || messages.some((message, index) => message !== list[index])) list = messages;
    return list;
  };
}

function* build(
  input: TimelineInput,
  built: WeakMap<Message, TimelineMessage>,
  shown: ReadonlyMap<string, TimelineMessage>,
): Generator<TimelineMessage> {
  const { log, confirmed, operations, viewer } = input;
  const keep = (message: TimelineMessage): TimelineMessage => {
    const before = shown.get(message.id);
    return before !== undefined && isEqual(before, message) ? before : message;
  };
  const stateOf = createStateOf(operations);
  const changes = groupChanges(operations, stateOf);
  const stored = log?.messages ?? [];
  const newest = stored.at(-1)?.seq ?? 0;
  const early = log?.hasNewer === true ? [] : confirmed.filter(({ seq }) => seq > newest);
  for (const message of [...stored, ...early.sort((a, b) => a.seq - b.seq)]) {
    const change = changes.get(message.id);
    const before = change === undefined ? built.get(message) : undefined;
    const now = before ?? keep(show(message, change, input));
    if (change === undefined) built.set(message, now);
    yield now;
  }
  if (log?.hasNewer === true || viewer === null) return;
  const known = new Set([...stored, ...early].map(({ id }) => id));
  for (const operation of operations) {
    if (operation.kind !== 'send' || known.has(operation.id)) continue;
    const change = changes.get(operation.id);
    if (change?.kind === 'delete') continue;
    const { id, type, content, createdAt } = operation;
    const unsent = {
      id,
      seq: 0,
      type,
      content,
      attachments: (hasFiles(operation) && input.files?.show(operation)) || none,
      system: null,
      createdAt: toIso(createdAt),
      editedAt: null,
      deletedAt: null,
    };
    const message = show({ ...unsent, sender: viewer, senderName: viewer.name }, change, { ...input, canSend: true });
    yield keep({ ...message, seq: null, unreadMemberCount: null, ...stateOf(operation) });
  }
}

/** The same in each message without files. */
const none: readonly TimelineAttachment[] = [];

type Change = QueuedOperation & { readonly status: MessageStatus } & { kind: 'edit' | 'delete' };

function show(
  message: Omit<Message, 'cursor' | 'attachments'> & Pick<TimelineMessage, 'attachments'>,
  change: Change | undefined,
  { marks, viewer, isAdmin, canSend }: TimelineInput,
): TimelineMessage {
  const isOwn = message.sender.id === viewer?.id;
  const isGone = change?.kind === 'delete' && change.error === null;
  const isThere = message.deletedAt === null && !isGone;
  return {
    id: message.id,
    seq: message.seq,
    type: message.type,
    content: isGone ? null : change?.kind === 'edit' ? change.content : message.content,
    sender: message.sender,
    senderName: message.senderName,
    attachments: isGone ? none : message.attachments,
    system: message.system,
    createdAt: message.createdAt,
    editedAt: message.editedAt,
    deletedAt: isGone ? toIso(change.createdAt) : message.deletedAt,
    status: change?.status ?? 'sent',
    error: change?.error ?? null,
    unreadMemberCount: countUnread(marks, message),
    canEdit: isThere && isOwn && message.type === 'TEXT' && canSend,
    canDelete: isThere && message.type !== 'SYSTEM' && (isOwn || isAdmin),
  };
}

/** The newest edit or deletion of each message. */
function groupChanges(
  operations: readonly QueuedOperation[],
  stateOf: ReturnType<typeof createStateOf>,
): Map<string, Change> {
  const changes = new Map<string, Change>();
  for (const operation of operations) {
    if (operation.kind !== 'edit' && operation.kind !== 'delete') continue;
    changes.set(operation.messageId, { ...operation, ...stateOf(operation) });
  }
  return changes;
}

/** What comes behind the first operation that was given up waits for it. */
function createStateOf(operations: readonly QueuedOperation[]) {
  const failed =
    operations.find(({ kind, error }) => kind !== 'read' && error !== null)?.order ?? Number.POSITIVE_INFINITY;
  return ({ order, error }: QueuedOperation) => {
    if (error !== null) return { status: 'failed' as const, error };
    return { status: order > failed ? ('waiting' as const) : ('pending' as const), error: null };
  };
}

const toIso = (ms: number): string => new Date(ms).toISOString();

function isEqual(a: TimelineMessage, b: TimelineMessage): boolean {
  return (Object.keys(a) as (keyof TimelineMessage)[]).every((key) => a[key] === b[key]);
}
