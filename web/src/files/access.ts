import type { Fairway } from '@fairway/client';
import { useFairway } from '@fairway/client/react';
import { useEffect, useState, useSyncExternalStore } from 'react';
import { FileAccessDocument } from '../operations/generated/documents.js';
import { pageToken } from '../session/session.js';
import { beginCookie, mayUseCookie } from './cookie.js';

/** Both are good for an hour at least. */
const renewMs = 45 * 60_000;
const retryMs = 3_000;
/** A picture that could not be read renews the access, but not more often than this, and each time later. */
const renewAgainMs = 10_000;

interface Snapshot {
  /** Whether the browser has a cookie for the files of this page's own server. */
  readonly hasCookie: boolean;
  /** For all others, to be appended to an address. */
  readonly token: string | undefined;
  /** Grows with each renewal: a cookie is renewed without another address. */
  readonly renewals: number;
}

/** Lets the elements of a page, which cannot send a header, read files. */
class FileAccess {
  #snapshot: Snapshot = { hasCookie: false, token: undefined, renewals: 0 };
  readonly #listeners = new Set<() => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #renewedAt = Number.NEGATIVE_INFINITY;
  #againMs = renewAgainMs;
  #userId: string | undefined;
  /** Whether a renewal comes because something could not be read. */
  #isDue = false;
  #needsToken = !mayUseCookie;

  constructor(private readonly fairway: Fairway) {
    fairway.viewer.subscribe(() => {
      if (fairway.viewer.getSnapshot() === null) this.#end();
    });
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  readonly getSnapshot = (): Snapshot => this.#snapshot;

  /** Begins, for the user who is signed in. */
  start(): void {
    const userId = this.fairway.viewer.getSnapshot()?.id;
    if (userId === undefined || userId === this.#userId) return;
    this.#userId = userId;
    this.#set({ hasCookie: false, token: undefined, renewals: 0 });
    this.#renew();
  }

  /** Files are somewhere else as well. */
  needToken(): void {
    if (this.#needsToken) return;
    this.#needsToken = true;
    if (this.#userId !== undefined) this.#renew();
  }

  /** Something could not be read: the access may have ended while the device slept. */
  failed(): void {
    if (this.#userId === undefined || this.#isDue) return;
    this.#isDue = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#renew(), Math.max(0, this.#renewedAt + this.#againMs - Date.now()));
    this.#againMs = Math.min(2 * this.#againMs, renewMs);
  }

  /** Nobody is signed in: the same user begins anew as well. */
  #end(): void {
    clearTimeout(this.#timer);
    this.#userId = undefined;
    this.#set({ hasCookie: false, token: undefined, renewals: 0 });
  }

  #renew(): void {
    clearTimeout(this.#timer);
    this.#isDue = false;
    this.#renewedAt = Date.now();
    const userId = this.#userId;
    this.#obtain().then(
      (next) => {
        if (userId !== this.#userId) return;
        this.#set(next);
        this.#timer = setTimeout(() => {
          this.#againMs = renewAgainMs;
          this.#renew();
        }, renewMs);
      },
      () => {
        if (userId === this.#userId) this.#timer = setTimeout(() => this.#renew(), retryMs);
      },
    );
  }

  async #obtain(): Promise<Snapshot> {
    const token = pageToken();
    const hasCookie = mayUseCookie && token !== undefined;
    if (hasCookie) {
      await beginCookie(token);
      if (!this.#needsToken) return { hasCookie, token: undefined, renewals: this.#snapshot.renewals + 1 };
    }
    const { fileAccess } = await this.fairway.request(FileAccessDocument, {});
    return { hasCookie, token: fileAccess.token, renewals: this.#snapshot.renewals + 1 };
  }

  #set(next: Snapshot): void {
    this.#snapshot = next;
    for (const listener of this.#listeners) listener();
  }
}

const accesses = new WeakMap<Fairway, FileAccess>();

/** Makes addresses of files that elements of the page can read; undefined while there is no access yet. */
export function useFileAddress(): { readonly addressOf: (url: string | null) => string | undefined } {
  const { access, snapshot } = useAccess();
  // What was asked for while this was drawn.
  let isElsewhere = false;
  const addressOf = (url: string | null) =>
    resolveFile(url, snapshot, () => {
      isElsewhere = true;
    });
  useEffect(() => {
    if (isElsewhere) access.needToken();
    access.start();
  });
  return { addressOf };
}

/** For one element that reads a file: whether it has failed with the access that there is now. It is tried again with the next. */
export function useReading(source: string | undefined): { readonly isBroken: boolean; readonly onError: () => void } {
  const { access, snapshot } = useAccess();
  const [broken, setBroken] = useState<{ readonly source: string | undefined; readonly renewals: number }>();
  return {
    isBroken: broken !== undefined && broken.source === source && broken.renewals === snapshot.renewals,
    onError: () => {
      setBroken({ source, renewals: snapshot.renewals });
      if (source !== undefined && !isLocal(source)) access.failed();
    },
  };
}

function useAccess(): { readonly access: FileAccess; readonly snapshot: Snapshot } {
  const fairway = useFairway();
  let access = accesses.get(fairway);
  if (access === undefined) {
    access = new FileAccess(fairway);
    accesses.set(fairway, access);
  }
  const { subscribe, getSnapshot } = access;
  return { access, snapshot: useSyncExternalStore(subscribe, getSnapshot) };
}

/** A file of this device. */
const isLocal = (url: string): boolean => /^(blob|data):/.test(url);

/** A path is one of the server of this page, wherever a proxy has put it. */
function resolveFile(url: string | null, { hasCookie, token }: Snapshot, onElsewhere: () => void): string | undefined {
  if (url === null || isLocal(url)) return url ?? undefined;
  const address = new URL(url.startsWith('/') ? `.${url}` : url, document.baseURI);
  const isHere = address.origin === location.origin;
  if (hasCookie && isHere) return address.href;
  if (!isHere) onElsewhere();
  if (token === undefined) return undefined;
  address.searchParams.set('access', token);
  return address.href;
}
