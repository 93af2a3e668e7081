import type { FairwayErrorCode } from '../errors.js';
import type { Message } from '../room/log.js';

/** A file that waits to be sent. */
export interface QueuedFile {
  /** Of the attachment that it becomes. */
  readonly id: string;
  readonly name: string;
  readonly contentType: string;
  readonly byteSize: number;
  /** In pixels, where they are known; null otherwise. */
  readonly width: number | null;
  readonly height: number | null;
}

/** An operation that sends files. */
export type SendOfFiles = Extract<OutboxOperation, { kind: 'send' }> & { readonly files: readonly QueuedFile[] };

interface Common {
  /** The key of this operation: the message's id for a send. */
  readonly id: string;
  readonly roomId: string;
  /** Of this device's clock, for display only. */
  readonly createdAt: number;
  /** Failures that the server, or its silence, caused. */
  readonly attempts: number;
  /** Why it was given up; null while it waits for its turn. */
  readonly error: FairwayErrorCode | null;
}

/** One thing that the user has done and the server has not yet confirmed. */
export type OutboxOperation = Common &
  (
    | {
        readonly kind: 'send';
        readonly type: 'TEXT' | 'IMAGE' | 'FILE';
        readonly content: string;
        /** What is sent with it; the bytes are in the storage, by the ids. */
        readonly files?: readonly QueuedFile[];
      }
    | { readonly kind: 'edit'; readonly messageId: string; readonly content: string }
    | { readonly kind: 'delete'; readonly messageId: string }
    | { readonly kind: 'read'; readonly messageId: string; readonly seq: number }
  );

/** An operation with its place in the queue, which is the same in all tabs. */
export type QueuedOperation = OutboxOperation & { readonly order: number };

/** Whether something that was stored, or came from another tab, is an operation: another version may have written it. */
export function isOperation(value: unknown): value is OutboxOperation {
  const { id, roomId, kind, createdAt, attempts } = (value ?? {}) as Record<string, unknown>;
  const areTexts = [id, roomId].every((text) => typeof text === 'string');
  return areTexts && kinds.has(String(kind)) && Number.isSafeInteger(attempts) && Math.abs(Number(createdAt)) < 8e15;
}

const kinds: ReadonlySet<string> = new Set<OutboxOperation['kind']>(['send', 'edit', 'delete', 'read']);

/** Operations of one queue are delivered one after the other. Read marks wait for nothing, and nothing for them. */
export const queueOf = ({ kind, roomId }: OutboxOperation): string => (kind === 'read' ? `${roomId}:read` : roomId);

/** Whether it sends files. */
export const hasFiles = (operation: OutboxOperation): operation is SendOfFiles =>
  (operation as { files?: unknown }).files !== undefined;

/** The message that an operation is about. */
export const messageIdOf = (operation: OutboxOperation): string =>
  operation.kind === 'send' ? operation.id : operation.messageId;

/** How an operation ended: with the message as the server has it now, where there is one. */
export interface Outcome {
  readonly operation: OutboxOperation;
  readonly message?: Message;
  /** The epoch of the room's log when the operation began, where that was known: in another one, the message means nothing. */
  readonly epoch?: string;
  /** The server has refused it: what was shown of it is taken back. */
  readonly isRefused?: boolean;
}
