import { asFairwayError, FairwayError } from '../errors.js';
import type { AttachmentKind } from '../operations/generated/documents.js';
import {
  CompleteUploadDocument,
  type CompleteUploadMutation,
  CreateUploadDocument,
} from '../operations/generated/files.js';
import type { Ask, Files, FilesHost, FileToSend, TimelineAttachment } from '../outbox/files.js';
import { hasFiles, type QueuedFile, type SendOfFiles } from '../outbox/operation.js';
import type { Storage } from '../storage/storage.js';
import { Previews } from './previews.js';
import { type PutTarget, put } from './put.js';

/** So many files of a message are sent at once. */
const maxAtOnce = 3;
/** Progress is shown no more often than this. */
const showMs = 100;
/** An address for bytes is used again for this time; the server gives an hour. */
const addressMs = 1_800_000;
/** Another tab may still be storing the bytes of a message that is no older than this. */
const storedWithinMs = 60_000;

type State = CompleteUploadMutation['completeUpload']['attachment'];

/** Sends the files of a client: pass it as `files` to `createFairway`. One client, one of these. */
export const createFiles = (): Files => new Uploads();

class Uploads implements Files {
  #given: FilesHost | undefined;
  #address = '';
  /** The bytes that were added in this page, until their message is sent. */
  readonly #bytes = new Map<string, Blob>();
  /** Whether the bytes are on the disk. */
  readonly #kept = new Map<string, Promise<boolean>>();
  /** The files that the disk has no room for, once that was said. */
  readonly #told = new Set<string>();
  readonly #progress = new Map<string, number>();
  readonly #failures = new Map<string, NonNullable<State['failure']>>();
  /** Those that did not come so far that the server could have refused them. */
  readonly #lost = new Set<string>();
  readonly #targets = new Map<string, PutTarget & { readonly madeAt: number }>();
  readonly #previews = new Previews();
  /** The files whose bytes are being looked for to be shown. */
  readonly #sought = new Set<string>();
  readonly #shown = new Map<string, readonly TimelineAttachment[]>();
  #cancelTouch: (() => void) | undefined;

  attach(host: FilesHost, address: string): void {
    [this.#given, this.#address] = [host, address];
    host.viewer.subscribe(() => {
      // Another user is signed in: nothing of the one before remains.
      if (host.viewer.getSnapshot() === null) this.#forget();
    });
    host
      .storage()
      .then((storage) => this.#sweep(storage))
      .catch(() => undefined);
  }

  previewOf(attachmentId: string): string | undefined {
    return this.#previews.get(attachmentId);
  }

  add(given: readonly (File | FileToSend)[]) {
    const { environment, limits } = this.#host;
    const { maxAttachments, maxFileBytes } = limits();
    if (given.length < 1 || given.length > maxAttachments) {
      throw new FairwayError('BAD_USER_INPUT', `A message has 1 to ${maxAttachments} files`);
    }
    if (maxFileBytes === 0) throw new FairwayError('FORBIDDEN', 'This server takes no files');
    const files = given.map((one): QueuedFile & { blob: Blob } => {
      const blob = 'blob' in one ? one.blob : one;
      const { width = null, height = null } = 'blob' in one ? one : {};
      if (blob.size > maxFileBytes)
        throw new FairwayError('FILE_TOO_LARGE', `A file has at most ${maxFileBytes} bytes`);
      if (blob.size < 1) throw new FairwayError('FILE_BROKEN', 'The file is empty');
      const contentType = blob.type.split(';')[0]?.trim() || 'application/octet-stream';
      const id = environment.uuid();
      return { id, name: one.name || 'file', contentType, byteSize: blob.size, width, height, blob };
    });
    for (const { id, blob, contentType } of files) {
      this.#bytes.set(id, blob);
      if (kindOf(contentType) !== 'FILE') this.#previews.add(id, blob);
    }
    const arePictures = files.every(({ contentType }) => kindOf(contentType) === 'IMAGE');
    return {
      type: arePictures ? ('IMAGE' as const) : ('FILE' as const),
      files: files.map(({ blob: _blob, ...file }) => file),
    };
  }

  keep({ files }: SendOfFiles, storage: Storage): void {
    for (const { id } of files) {
      const bytes = this.#bytes.get(id);
      if (bytes !== undefined) void this.#keep(id, bytes, storage);
    }
  }

  async upload(operation: SendOfFiles, ask: Ask, ended: AbortSignal): Promise<string[]> {
    const { operations } = this.#host.outbox;
    const abort = new AbortController();
    const end = () => abort.abort();
    ended.addEventListener('abort', end);
    if (ended.aborted) end();
    const stop = operations.subscribe(() => {
      if (!operations.getSnapshot().some(({ id }) => id === operation.id)) end();
    });
    const waiting = [...operation.files];
    const work = async () => {
      for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
        const { id } = file;
        this.#lost.delete(id);
        await this.#uploadOne(file, operation, ask, abort.signal).catch((error: unknown) => {
          if (/^FILE_(LOST|TOO_LARGE)$/.test(asFairwayError(error).code)) this.#lost.add(id);
          throw error;
        });
      }
    };
    try {
      // All of them end before the next attempt begins.
      const ends = await Promise.allSettled(Array.from({ length: maxAtOnce }, work));
      for (const one of ends) if (one.status === 'rejected') throw one.reason;
    } finally {
      ended.removeEventListener('abort', end);
      stop();
    }
    return operation.files.map(({ id }) => id);
  }

  drop(operation: SendOfFiles): void {
    const ids = operation.files.map(({ id }) => id);
    this.#shown.delete(operation.id);
    for (const id of ids) {
      for (const part of [this.#bytes, this.#kept, this.#progress, this.#failures, this.#targets]) part.delete(id);
      for (const part of [this.#sought, this.#told, this.#lost]) part.delete(id);
    }
    this.#host
      .storage()
      .then((storage) => Promise.all(ids.map((id) => storage.delete('files', id))))
      .catch(() => undefined);
  }

  show(operation: SendOfFiles): readonly TimelineAttachment[] {
    const before = this.#shown.get(operation.id);
    if (before?.length === operation.files.length && before.every(({ id }, at) => id === operation.files[at]?.id)) {
      return before;
    }
    const shown = operation.files.map((file) => this.#showOne(file));
    this.#shown.set(operation.id, shown);
    return shown;
  }

  get #host(): FilesHost {
    if (this.#given === undefined) throw new FairwayError('CLOSED', 'Pass this as `files` to createFairway');
    return this.#given;
  }

  #showOne({ id, name, contentType, byteSize, width, height }: QueuedFile): TimelineAttachment {
    const kind = kindOf(contentType);
    const previewUrl = this.#previews.get(id);
    if (previewUrl === undefined && kind !== 'FILE') this.#seek(id);
    const failure = this.#failures.get(id) ?? null;
    return {
      ...{ id, kind, name, contentType, byteSize, width, height, failure },
      ...{ thumbHash: null, url: null, thumbnailUrl: null, largeUrl: null },
      status: failure === null && !this.#lost.has(id) ? 'PENDING' : 'FAILED',
      progress: this.#progress.get(id) ?? 0,
      ...(previewUrl !== undefined && { previewUrl }),
    };
  }

  /** After a reload, and in another tab, the bytes are on the disk. */
  #seek(id: string): void {
    if (this.#sought.has(id)) return;
    this.#sought.add(id);
    this.#read(id)
      .then((bytes) => {
        if (bytes === undefined || !this.#sought.has(id)) return;
        this.#previews.add(id, bytes);
        this.#touch(true);
      })
      .catch(() => undefined);
  }

  #keep(id: string, bytes: Blob, storage: Storage): Promise<boolean> {
    const isKept = storage.put('files', id, bytes).then(
      () => storage.isDurable(),
      () => false,
    );
    this.#kept.set(id, isKept);
    return isKept;
  }

  /** @throws {FairwayError} FILE_NOT_STORED, once: a retry sends what is in memory */
  async #assertKept(id: string): Promise<void> {
    const bytes = this.#bytes.get(id);
    if (bytes === undefined || (await this.#kept.get(id)) === true) return;
    const storage = await this.#host.storage();
    // Where there is no disk, that is known.
    if (!storage.isDurable() || (await this.#keep(id, bytes, storage)) || this.#told.has(id)) return;
    this.#told.add(id);
    throw new FairwayError('FILE_NOT_STORED', 'The device has no room for the file');
  }

  async #read(id: string): Promise<Blob | undefined> {
    const stored = await (await this.#host.storage()).get('files', id);
    // Where there is no disk, the storage keeps no bytes.
    return isBlob(stored) ? stored : this.#bytes.get(id);
  }

  /** @throws {FairwayError} the reason why the file is not there yet, or never will be */
  async #uploadOne(file: QueuedFile, operation: SendOfFiles, ask: Ask, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw new FairwayError('CLOSED', 'The message was discarded');
    const { id } = file;
    await this.#assertKept(id);
    // It may have been sent before, by another page perhaps.
    const isNew = this.#bytes.has(id) && !this.#targets.has(id);
    const state = (isNew ? undefined : await complete(ask, id)) ?? (await this.#send(file, operation, ask, signal));
    if (state.status === 'EXPIRED') await this.#exchange(file, operation);
    if (state.failure !== null) {
      this.#failures.set(id, state.failure);
      this.#touch(true);
      throw new FairwayError(`FILE_${state.failure}`, `The server has refused the file: ${state.failure}`);
    }
    this.#setProgress(id, 1);
  }

  /** Announces a file, sends its bytes, and has the server look at them. */
  async #send(file: QueuedFile, operation: SendOfFiles, ask: Ask, signal: AbortSignal): Promise<State> {
    const { environment } = this.#host;
    const { id, name, contentType, byteSize } = file;
    const bytes = await this.#read(id);
    if (bytes === undefined) {
      const isOld = Math.abs(environment.now() - operation.createdAt) > storedWithinMs;
      throw isOld ? new FairwayError('FILE_LOST', 'The bytes are gone') : later(1_000);
    }
    let target = this.#targets.get(id);
    if (target === undefined || Math.abs(environment.now() - target.madeAt) > addressMs) {
      const input = { id, roomId: operation.roomId, name, contentType, byteSize };
      const { createUpload } = await ask(CreateUploadDocument, { input });
      if (createUpload.attachment.status !== 'PENDING') return createUpload.attachment;
      target = { ...createUpload, url: this.#resolve(createUpload.url), madeAt: environment.now() };
      this.#targets.set(id, target);
    }
    const status = await put(target, bytes, {
      environment,
      signal,
      onProgress: (sent) => this.#setProgress(id, Math.min(sent / byteSize, 1)),
    });
    if (status === 413) throw new FairwayError('FILE_TOO_LARGE', 'The file is too large for the way to the server');
    // 409: another tab was first.
    const state = status < 300 || status === 409 ? await complete(ask, id) : undefined;
    if (state !== undefined) return state;
    // Its address may have expired: the next attempt asks for another one.
    this.#targets.delete(id);
    throw new FairwayError('UNAVAILABLE', `The bytes were answered with ${status}`);
  }

  /** The server has removed a file that no message has used in time: its bytes go under another id. */
  async #exchange(file: QueuedFile, operation: SendOfFiles): Promise<never> {
    const { environment, outbox, storage } = this.#host;
    const bytes = await this.#read(file.id);
    if (bytes === undefined) throw new FairwayError('FILE_LOST', 'The server and this device have lost the bytes');
    const id = environment.uuid();
    this.#bytes.set(id, bytes);
    await (await storage()).put('files', id, bytes).catch(() => undefined);
    const queued = outbox.operations.getSnapshot().find((one) => one.id === operation.id);
    if (queued !== undefined && hasFiles(queued)) {
      outbox.replace({ ...queued, files: queued.files.map((one) => (one.id === file.id ? { ...one, id } : one)) });
    }
    throw later(100);
  }

  /** A path is one of the server: beside its GraphQL address. */
  #resolve(url: string): string {
    return /^https?:/.test(url) ? url : new URL(url.replace(/^\//, ''), this.#address).href;
  }

  #setProgress(id: string, progress: number): void {
    if (this.#progress.get(id) === progress) return;
    this.#progress.set(id, progress);
    this.#touch();
  }

  /** Shows what has changed, now or soon. */
  #touch(isNow = false): void {
    const show = () => {
      this.#cancelTouch?.();
      this.#cancelTouch = undefined;
      this.#shown.clear();
      const { operations } = this.#host.outbox;
      operations.set([...operations.getSnapshot()]);
    };
    if (isNow) show();
    else this.#cancelTouch ??= this.#host.environment.setTimer(show, showMs);
  }

  /** Removes bytes whose message is gone: the page may have ended between the two. */
  async #sweep(storage: Storage): Promise<void> {
    const ids = (await storage.entries('files')).map(([id]) => String(id));
    if (ids.length === 0) return;
    const sweep = async () => {
      const operations = (await storage.entries('outbox')).map(([, operation]) => operation as SendOfFiles);
      const used = new Set(operations.filter(hasFiles).flatMap(({ files }) => files.map(({ id }) => id)));
      for (const id of ids) if (!used.has(id)) await storage.delete('files', id);
    };
    // What another tab is storing gets its message first.
    this.#host.environment.setTimer(() => void sweep().catch(() => undefined), storedWithinMs);
  }

  #forget(): void {
    this.#previews.clear();
    this.#cancelTouch?.();
    this.#cancelTouch = undefined;
    for (const part of [this.#bytes, this.#kept, this.#progress, this.#failures, this.#targets]) part.clear();
    for (const part of [this.#shown, this.#sought, this.#told, this.#lost]) part.clear();
  }
}

/** Undefined if its bytes are not there, or nobody has announced it. */
async function complete(ask: Ask, id: string): Promise<State | undefined> {
  try {
    return (await ask(CompleteUploadDocument, { input: { id } })).completeUpload.attachment;
  } catch (error) {
    if (['CONFLICT', 'NOT_FOUND'].includes(asFairwayError(error).code)) return undefined;
    throw error;
  }
}

/** It is tried again without counting as a failure. */
const later = (ms: number) => new FairwayError('RATE_LIMITED', 'It is tried again', ms);

const isBlob = (value: unknown): value is Blob => typeof (value as { size?: unknown } | undefined)?.size === 'number';

/** What the server will most probably say. */
function kindOf(contentType: string): AttachmentKind {
  if (/^image\/(jpeg|png|gif|webp)$/.test(contentType)) return 'IMAGE';
  if (contentType.startsWith('video/')) return 'VIDEO';
  return contentType.startsWith('audio/') ? 'AUDIO' : 'FILE';
}
