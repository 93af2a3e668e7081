import type { Readable } from 'node:stream';

/** A request with which a client writes an object by itself. */
export interface WriteAddress {
  readonly method: 'PUT';
  /** Absolute, or a path on this server. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface WriteTerms {
  readonly contentType: string;
  /** Exactly. */
  readonly byteSize: number;
  readonly expiresAt: Date;
  /** The user who writes. */
  readonly userId: number;
}

/** How a reader is to take a file. */
export interface ReadTerms {
  readonly contentType: string;
  readonly contentDisposition: string;
  readonly seconds: number;
}

/** Inclusive, in bytes. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface StoredObject {
  readonly key: string;
  readonly modifiedAt: Date;
}

/** Receives what a client writes. @throws {ChatError} BAD_USER_INPUT unless it has exactly this length */
export type Receive = (key: string, bytes: AsyncIterable<Buffer>, byteSize: number) => Promise<void>;

/**
 * Where bytes are kept: a folder, or a bucket. Keys have letters, digits, `-`, `.` and `/`. Each method rejects with a ChatError
 * UNAVAILABLE if the storage cannot be reached.
 */
export interface Storage {
  /** The request with which a client writes the object, with exactly this type and length, as often as it likes until it expires. */
  addressForWriting(key: string, terms: WriteTerms): Promise<WriteAddress>;
  /** An address from which a client reads the object for a short time; null if this server sends the bytes itself. */
  addressForReading(key: string, terms: ReadTerms): Promise<string | null>;
  /** What this server does with the bytes of a client; null if clients bring them to the storage itself. */
  readonly receive: Receive | null;
  /** The length in bytes; null if there is no such object. */
  sizeOf(key: string): Promise<number | null>;
  /** The bytes, or a part of them; null if there is no such object. */
  read(key: string, range?: ByteRange): Promise<Readable | null>;
  /** Stores a file of this machine. Replaces an object at once: nobody reads a part of it. */
  write(key: string, path: string, contentType: string): Promise<void>;
  /**
   * Copies to a key to which nothing was copied before. False if there is no such object. Once it resolves, the copy never
   * changes, whatever is written to `from`. If it rejects, a copy may still appear at `to` at any time: try again with another key.
   */
  copy(from: string, to: string): Promise<boolean>;
  /** Removes this object; it is no error if there is none. */
  remove(key: string): Promise<void>;
  /** Removes all objects whose key begins so; it is no error if there is none. The prefix ends in `/`. */
  removeAll(prefix: string): Promise<void>;
  /** All objects whose key begins so, in no order, read bit by bit: there may be millions. The prefix ends in `/`. */
  list(prefix: string): AsyncIterable<StoredObject>;
  /**
   * Gives the storage this id if it has none, and resolves with the one that it has. From then on a storage that could be
   * another one without an error, as a folder could, is UNAVAILABLE while it does not have this id.
   */
  identify(id: string): Promise<string>;
}

/** The object that has the id of the storage. */
export const identityKey = 'storage-id';
/** What clients may still write. Nobody reads it: `completeUpload` makes a copy. */
export const incomingKey = (id: string): string => `incoming/${id}`;
/** Everything of one file. */
export const filePrefix = (id: string): string => `files/${id}/`;
/**
 * The bytes as they were uploaded: a copy of `incomingKey`. Each completion makes a copy of its own, and the row has the
 * reception whose copy counts. It is null for a file that this server has written by itself.
 */
export const receivedKey = (id: string, reception: string | null): string =>
  `${filePrefix(id)}received${reception === null ? '' : `-${reception}`}`;
/** A version that was made of them. */
export const versionKey = (id: string, version: string): string => `${filePrefix(id)}${version}`;
