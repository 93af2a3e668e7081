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

/**
 * Where bytes are kept: a folder, or a bucket. Keys have letters, digits, `-`, `.` and `/`. Each method rejects with a ChatError
 * UNAVAILABLE if the storage cannot be reached.
 */
export interface Storage {
  /** The request with which a client writes the object, with exactly this type and length, as often as it likes until it expires. */
  addressForWriting(key: string, terms: WriteTerms): Promise<WriteAddress>;
  /** An address from which a client reads the object for a short time; null if this server sends the bytes itself. */
  addressForReading(key: string, terms: ReadTerms): Promise<string | null>;
  /** The length in bytes; null if there is no such object. */
  sizeOf(key: string): Promise<number | null>;
  /** The bytes, or a part of them; null if there is no such object. */
  read(key: string, range?: ByteRange): Promise<Readable | null>;
  /** Stores a file of this machine. Replaces an object at once: nobody reads a part of it. */
  write(key: string, path: string, contentType: string): Promise<void>;
  /**
   * False if there is no such object. Whoever writes to `from` afterwards changes nothing at `to`. An object that is at `to`
   * already stays as it is, if the storage can promise that: a folder can, and so can Amazon's S3.
   */
  copy(from: string, to: string): Promise<boolean>;
  /** Removes all objects whose key begins so; it is no error if there is none. */
  removeAll(prefix: string): Promise<void>;
  /** All objects, in no order. */
  list(): AsyncIterable<StoredObject>;
  /** Stores the text if the object does not exist. Resolves with what is stored now. Used to tell storages apart. */
  claim(key: string, text: string): Promise<string>;
}

/** What clients may still write. Nobody reads it: `completeUpload` makes a copy. */
export const incomingKey = (id: string): string => `incoming/${id}`;
/** Everything of one file. */
export const filePrefix = (id: string): string => `files/${id}/`;
/** The bytes as they were uploaded. */
export const receivedKey = (id: string): string => `${filePrefix(id)}received`;
/** A version that was made of them. */
export const versionKey = (id: string, version: string): string => `${filePrefix(id)}${version}`;
