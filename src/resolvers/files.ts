import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { v7 as uuidv7 } from 'uuid';
import {
  assertFileCursor,
  completeUpload as complete,
  createUpload as create,
  findFile,
  findUpload,
  findVisibleFile,
  noteErased,
  pageFiles,
  postponeFile,
  type StoredFile,
  takeDueFiles,
} from '../db/attachments.js';
import { isDone, type SettledFile, settleAttachment } from '../db/room-log.js';
import type { Room } from '../db/rooms.js';
import {
  type Attachment,
  type AttachmentKind,
  type FileVersion,
  isReadable,
  maxFilesAtOnce,
  pathOfFile,
  type ThumbnailSize,
  type UploadPurpose,
} from '../domain/attachment.js';
import { parseFileName } from '../domain/content.js';
import { ChatError } from '../domain/errors.js';
import { isUuid, parseUuid } from '../domain/ids.js';
import { parsePageArgs } from '../domain/page.js';
import type { Viewer } from '../domain/viewer.js';
import { hasBoxes } from '../files/boxes.js';
import { dispositionOf } from '../files/disposition.js';
import { dropReception, eraseFile, finishPicture, type Look, receiveFile } from '../files/file-steps.js';
import { finishFilm } from '../files/finish-film.js';
import type { ByteRange, WriteAddress } from '../files/storage.js';
import { incomingKey, receivedKey, versionKey } from '../files/storage.js';
import { assertAllowed, assertMayChange, assertMayUpload, returnUpload } from './access.js';
import type { Deps, Files, Limits } from './deps.js';

export interface CreateUploadInput {
  readonly id?: string | null | undefined;
  readonly roomId: string;
  readonly purpose?: UploadPurpose | null | undefined;
  readonly name: string;
  readonly contentType: string;
  readonly byteSize: number;
  readonly sha256?: string | null | undefined;
}

/** A file that waits for its bytes, and the request that brings them. */
export interface Upload extends WriteAddress {
  readonly attachment: Attachment;
  readonly expiresAt: Date;
}

const addressLifetimeMs = 3_600_000;
/** A file that no message uses is removed after this time. */
export const unusedLifetimeMs = 86_400_000;

/**
 * Announces a file and resolves with the address for its bytes. The same id again, announced alike, returns the file as it is
 * now and another address.
 */
export async function createUpload(deps: Deps, viewer: Viewer, input: CreateUploadInput): Promise<Upload> {
  const { db, limits } = deps;
  const { storage } = requireFiles(deps);
  const id = input.id == null ? uuidv7() : parseUuid(input.id, 'id');
  const roomId = parseUuid(input.roomId, 'roomId');
  const announced = {
    name: parseFileName(input.name),
    contentType: parseContentType(input.contentType),
    byteSize: parseByteSize(input.byteSize, limits.maxFileBytes),
    sha256: parseDigest(input.sha256),
  };
  // An upload that starts again costs its bytes only once.
  const known = input.id == null ? null : await findUpload(db, id, viewer.userId);
  const bytes = known === null ? announced.byteSize : 0;
  await assertMayUpload(deps, viewer, bytes);

  const { outcome, attachment } = await create(db, {
    id,
    roomId,
    uploaderId: viewer.userId,
    purpose: input.purpose ?? 'MESSAGE',
    announced,
    lifetimeMs: unusedLifetimeMs,
    maxPending: limits.maxPendingFiles,
  });
  if (!isDone(outcome)) await returnUpload(deps, viewer, bytes);
  assertAllowed(outcome);

  const expiresAt = new Date(Math.floor(db.now() / 1_000) * 1_000 + addressLifetimeMs);
  const address = await storage.addressForWriting(incomingKey(id), { ...announced, expiresAt, userId: viewer.userId });
  return { attachment: found(attachment), ...address, expiresAt };
}

/**
 * Looks at what has arrived. A picture is PROCESSING until its thumbnails are there, and a film until it says nothing about
 * places; everything else is READY, or FAILED.
 * Completing twice is not an error.
 * @throws {ChatError} CONFLICT if the bytes are not there yet
 */
export async function completeUpload(
  deps: Deps,
  viewer: Viewer,
  input: { readonly id: string },
): Promise<{ attachment: Attachment }> {
  const { db, limits } = deps;
  const files = requireFiles(deps);
  const id = parseUuid(input.id, 'id');
  await assertMayChange(deps, viewer);
  const upload = await requireUpload(db, id, viewer.userId);
  if (upload.attachment.status !== 'PENDING') return { attachment: upload.attachment };

  const received = await receiveFile(files, id, upload.announced, limits);
  if (received === null) {
    // Another call may have completed it meanwhile, and its picture may be finished.
    const now = await findUpload(db, id, viewer.userId);
    if (now !== null && now.attachment.status !== 'PENDING') return { attachment: now.attachment };
    throw new ChatError('CONFLICT', 'The bytes are not there yet: upload them first, or again');
  }
  const { reception } = received;
  const look = fitPurpose(received.look, upload.purpose);
  const isHeldBack = look.kind === 'IMAGE' || hasBoxes(look.contentType) || files.scan !== null;
  const status = look.failure !== null ? 'FAILED' : isHeldBack ? 'PROCESSING' : 'READY';
  const completed = await complete(db, id, { ...look, status, reception }, unusedLifetimeMs);
  // Another call was first: the bytes that it has looked at are the file.
  if (completed?.reception !== reception) dropReception(files.storage, id, reception);
  const attachment = found(completed?.attachment ?? null);

  if (status !== 'READY') files.queue.add(id);
  // If this fails, the sweep does it.
  void files.storage.remove(incomingKey(id)).catch(() => undefined);
  return { attachment };
}

async function requireUpload(db: Deps['db'], id: string, userId: number): Promise<StoredFile> {
  const upload = await findUpload(db, id, userId);
  if (upload === null) throw new ChatError('NOT_FOUND', 'There is no such upload of yours');
  return upload;
}

/** Only a picture becomes the picture of a room. */
const fitPurpose = (look: Look, purpose: UploadPurpose): Look =>
  purpose === 'MESSAGE' || look.kind === 'IMAGE' ? look : { ...look, failure: look.failure ?? 'TYPE_NOT_ALLOWED' };

/**
 * For who brings the bytes to this server, with an address that may be older than what became of the file. While the database is
 * away they are taken: they change nothing by themselves.
 * @throws {ChatError} NOT_FOUND if they may not bring it any more, CONFLICT if its bytes are there
 */
export async function assertAwaitsBytes({ db }: Deps, id: string, userId: number): Promise<void> {
  const upload = await requireUpload(db, id, userId).catch((error: unknown) => {
    if (error instanceof ChatError && error.code === 'UNAVAILABLE') return null;
    throw error;
  });
  if (upload !== null && upload.attachment.status !== 'PENDING')
    throw new ChatError('CONFLICT', 'The upload is completed');
}

/** Work that is not done by then is queued again. */
const againMs = 120_000;

/** Puts files with work that is due into the queue, a hundred at most. */
export async function queueDueFiles(deps: Deps): Promise<void> {
  const { queue } = requireFiles(deps);
  for (const id of await takeDueFiles(deps.db, againMs)) queue.add(id);
}

/** Does what is due for a file, whatever that is: thumbnails, expiry, erasing. May be repeated, and interrupted anywhere. */
export async function workOnFile(deps: Deps, id: string): Promise<void> {
  const { db, feeds } = deps;
  const files = requireFiles(deps);
  const file = await findFile(db, id);
  if (file === null) return;
  const { attachment } = file;
  if (attachment.status === 'FAILED' || attachment.status === 'EXPIRED') {
    await eraseFile(files.storage, id);
    return noteErased(db, id);
  }
  const settled = isOver(file, db.now())
    ? expired
    : attachment.status === 'PROCESSING'
      ? await finish(files, file).catch(orPostponed)
      : null;
  if (settled === null) return;
  if (settled === postponed) return postponeFile(db, id, postponedMs);
  const { outcome, entries } = await db.changes.change(`room ${file.roomId}`, (writes) =>
    settleAttachment({ writes }, id, settled, unusedLifetimeMs),
  );
  feeds.publish(entries);
  // It has ended meanwhile, and this work may have written what was erased.
  if (outcome !== 'OK') return workOnFile(deps, id);
  if (settled.status !== 'READY') return files.queue.add(id);
  // What was made of a picture takes its place.
  const done = attachment.kind === 'IMAGE' ? [receivedKey(id, file.reception), incomingKey(id)] : [incomingKey(id)];
  await Promise.all(done.map((key) => files.storage.remove(key)));
}

/** How the work of users is ordered on an instance. What waits beyond this is brought again by a sweep. */
export const fileTurns = { atOnce: maxFilesAtOnce, atOncePerUser: maxFilesAtOnce, maxWaitingPerUser: 16 };
/** A user's files that found no place are tried again after this time. */
const postponedMs = 5_000;

const expired = { status: 'EXPIRED' } as const;
const infected = { status: 'FAILED', failure: 'INFECTED' } as const;

const postponed = Symbol('postponed');

function orPostponed(error: unknown): typeof postponed {
  if (error instanceof ChatError && error.code === 'RATE_LIMITED') return postponed;
  throw error;
}

/** What becomes of a file that others cannot read yet. @throws {ChatError} RATE_LIMITED if too many of its uploader's wait */
async function finish(files: Files, { attachment, roomId, uploaderId, reception }: StoredFile): Promise<SettledFile> {
  const { id, name, kind, contentType, byteSize } = attachment;
  if (files.scan !== null) {
    // Nobody but the uploader can read it now, so the scanner reads it in the uploader's name.
    const url = `${files.origin}${pathOfFile(id, 'original')}?access=${files.signer.signAccess(uploaderId).token}`;
    const { isClean } = await files.scan({ id, name, contentType, byteSize, roomId, uploaderId, url });
    if (!isClean) return infected;
  }
  if (kind === 'IMAGE') return files.turns.take(uploaderId, () => finishPicture(files, attachment, reception));
  if (!hasBoxes(contentType)) return { status: 'READY' };
  return files.turns.take(uploaderId, () => finishFilm(files, attachment, reception));
}

/** Whether nobody needs the file any more: it was not used in time, or its retention is over. */
function isOver({ isUsed, createdAt, attachment: { expiresAt } }: StoredFile, now: number): boolean {
  if (!isUsed) return now >= createdAt.getTime() + unusedLifetimeMs;
  return expiresAt !== null && now >= Date.parse(expiresAt);
}

/** A version of a file that its reader gets. */
export interface OpenFile {
  readonly contentType: string;
  readonly disposition: string;
  /** Whether the bytes never change any more. */
  readonly isFinal: boolean;
  /** Where to read the bytes for a short time; null if this server sends them. */
  readonly address: string | null;
  /** In bytes; null if they are gone. */
  findByteSize(): Promise<number | null>;
  read(range?: ByteRange): Promise<Readable | null>;
}

const addressSeconds = { usual: 60, video: 300 };

/**
 * The version of the file if the user may read it at this moment; null otherwise, whatever the reason: the file is not there, or
 * has no such version, or its reader is no member of its room.
 */
export async function openFile(deps: Deps, userId: number, id: string, version: FileVersion): Promise<OpenFile | null> {
  const { storage } = requireFiles(deps);
  if (!isUuid(id)) return null;
  const file = await findVisibleFile(deps.db, id, userId);
  // Until it is READY, the bytes are as they were uploaded, perhaps with the place where a picture was taken.
  if (file === null || !isReadable(file.attachment, { byUploader: file.uploaderId === userId })) return null;
  const { name, kind, status } = file.attachment;
  const isPicture = kind === 'IMAGE' && status === 'READY';
  if (version !== 'original' && !isPicture) return null;
  const key = isPicture ? versionKey(id, version) : receivedKey(id, file.reception);
  // Without a charset: a text may be in any, and is saved, not shown.
  const contentType = version === 'original' ? file.attachment.contentType : 'image/webp';
  const contentDisposition = dispositionOf(name, kind);
  const seconds = kind === 'VIDEO' ? addressSeconds.video : addressSeconds.usual;
  const address = await storage.addressForReading(key, { contentType, contentDisposition, seconds });
  return {
    contentType,
    disposition: contentDisposition,
    isFinal: status === 'READY',
    address,
    findByteSize: () => storage.sizeOf(key),
    read: (range) => storage.read(key, range),
  };
}

/** A token with which the viewer reads files where no header can be sent. */
export function getFileAccess(deps: Deps, viewer: Viewer): { token: string; expiresAt: Date } {
  return requireFiles(deps).signer.signAccess(viewer.userId);
}

const readyWaitMs = 5_000;
const readyPollMs = 100;

/** Resolves once a picture has been looked at, or after a while: then it is refused as it is. */
export async function awaitPicture(deps: Deps, viewer: Viewer, id: string): Promise<void> {
  const deadline = performance.now() + readyWaitMs;
  while (performance.now() < deadline) {
    const upload = await findUpload(deps.db, id, viewer.userId);
    if (upload?.attachment.status !== 'PROCESSING') return;
    await delay(readyPollMs);
  }
}

/** The address of the file's bytes, the same for every viewer; null if there is nothing to read. */
export const addressOfFile = ({ files }: Deps, { id, status }: Attachment): string | null =>
  status === 'PROCESSING' || status === 'READY' ? (files?.origin ?? '') + pathOfFile(id, 'original') : null;

/** The address of a smaller picture; null if there is none. */
export const addressOfThumbnail = ({ files }: Deps, { id, kind, status }: Attachment, size: ThumbnailSize) =>
  kind === 'IMAGE' && status === 'READY' ? (files?.origin ?? '') + pathOfFile(id, versionOf[size]) : null;

/** The picture of a room: an address elsewhere, or a file of this server. */
export const addressOfRoomImage = ({ files }: Deps, imageUrl: string | null): string | null =>
  imageUrl?.startsWith('/files/') ? (files?.origin ?? '') + imageUrl : imageUrl;

const versionOf = { SMALL: 'small', MEDIUM: 'medium', LARGE: 'large' } as const;

export interface FilesArgs {
  readonly first?: number | null | undefined;
  readonly after?: string | null | undefined;
  readonly kind?: AttachmentKind | null | undefined;
}

export const defaultFilesSize = 20;

const parseFilesArgs = ({ first, after }: FilesArgs, { maxPageSize }: Limits) =>
  parsePageArgs({ first: first ?? defaultFilesSize, after }, maxPageSize);

/** Checks everything that does not depend on the room. @throws {ChatError} BAD_USER_INPUT */
export function assertFilesArgs(args: FilesArgs, limits: Limits): void {
  const { after } = parseFilesArgs(args, limits);
  if (after !== undefined) assertFileCursor(after);
}

/** A page of a room's files, the newest message first; empty if the viewer is not a member any more. */
export const listFiles = ({ db, limits }: Deps, viewer: Viewer, { id }: Pick<Room, 'id'>, args: FilesArgs) =>
  pageFiles(db, id, viewer.userId, { page: parseFilesArgs(args, limits), kind: args.kind ?? null });

/** @throws {ChatError} FORBIDDEN if the server has no storage */
export function requireFiles({ files }: Deps): Files {
  if (files === null) throw new ChatError('FORBIDDEN', 'This server keeps no files: it has no STORAGE_URL');
  return files;
}

function found(attachment: Attachment | null): Attachment {
  if (attachment === null) throw new Error('The file has disappeared');
  return attachment;
}

/** @throws {ChatError} BAD_USER_INPUT unless it is a media type */
function parseContentType(text: string): string {
  const type = text.trim().toLowerCase();
  if (type.length > 127 || !/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/.test(type)) {
    throw new ChatError('BAD_USER_INPUT', 'contentType must be a media type without parameters, such as image/jpeg');
  }
  return type;
}

function parseByteSize(bytes: number, max: number): number {
  if (bytes < 1 || bytes > max) throw new ChatError('BAD_USER_INPUT', `byteSize must be from 1 to ${max}`);
  return bytes;
}

function parseDigest(text: string | null | undefined): string | null {
  if (text == null) return null;
  const digest = text.toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(digest)) throw new ChatError('BAD_USER_INPUT', 'sha256 must be 64 hexadecimal digits');
  return digest;
}
