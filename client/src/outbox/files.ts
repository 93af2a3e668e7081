import type { Operation } from '../connection/line.js';
import type { Environment } from '../environment/environment.js';
import type { MessageType } from '../operations/generated/documents.js';
import type { Attachment } from '../room/log.js';
import type { Storage } from '../storage/storage.js';
import type { MutableStore, Store } from '../store.js';
import type { Limits, User } from '../viewer.js';
import type { QueuedFile, QueuedOperation, SendOfFiles } from './operation.js';

/** A file to send, with what the app knows of it. A `File` of the browser will do. */
export interface FileToSend {
  readonly blob: Blob;
  readonly name: string;
  /** In pixels, upright: the room for a picture is then right before the server has seen it. */
  readonly width?: number | undefined;
  readonly height?: number | undefined;
}

/** An attachment as a client shows it. */
export interface TimelineAttachment extends Attachment {
  /** How much of a file that is being sent has been sent, from 0 to 1. */
  readonly progress?: number;
  /** The file on this device, as an address for `img`, while this page sends it. */
  readonly previewUrl?: string;
}

/** Executes an operation of the client, over whatever carries it. */
export type Ask = <Result, Variables>(document: Operation<Result, Variables>, variables: Variables) => Promise<Result>;

/** What the client gives to what sends its files. */
export interface FilesHost {
  readonly environment: Environment;
  readonly viewer: Store<User | null>;
  readonly outbox: {
    readonly operations: MutableStore<readonly QueuedOperation[]>;
    replace(operation: QueuedOperation): void;
  };
  limits(): Limits;
  storage(): Promise<Storage>;
}

/** Sends files. `createFiles` of `@fairway/client/files` makes it; all but `previewOf` is called by the client. */
export interface Files {
  /** The file on this device that became this attachment, as an address for `img`; undefined if this page has not sent it. */
  previewOf(attachmentId: string): string | undefined;
  /** @internal Begins to serve a client. */
  attach(host: FilesHost, address: string): void;
  /** @internal Takes files in. @throws {FairwayError} if the server would refuse them */
  add(files: readonly (File | FileToSend)[]): { type: MessageType; files: readonly QueuedFile[] };
  /** @internal Keeps the bytes in the storage. */
  keep(operation: SendOfFiles, storage: Storage): void;
  /** @internal Resolves with the ids of the attachments once all bytes are there. May be repeated. */
  upload(operation: SendOfFiles, ask: Ask, ended: AbortSignal): Promise<string[]>;
  /** @internal The message is sent or discarded. */
  drop(operation: SendOfFiles): void;
  /** @internal What a message that is being sent shows: the same until something changes. */
  show(operation: SendOfFiles): readonly TimelineAttachment[];
}
