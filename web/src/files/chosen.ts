import type { Limits } from '@fairway/client';
import { useCallback, useState } from 'react';
import type { Words } from '../words/words.js';
import { formatBytes } from './sizes.js';

/** A file that was chosen and is not sent yet. */
export interface Chosen {
  readonly key: number;
  readonly file: File;
  /** To be shown; null if it is no picture. */
  readonly url: string | null;
  /** Of a picture, once it was drawn. */
  width?: number;
  height?: number;
}

/** What was chosen in each room, also while another one is open. */
const chosenIn = new Map<string, readonly Chosen[]>();
let keys = 0;
/** So many files are told of that cannot be sent; of the others one can see that they are missing. */
const maxProblems = 3;

export interface ChosenFiles {
  readonly chosen: readonly Chosen[];
  add(files: readonly File[]): void;
  remove(key: number): void;
  clear(): void;
  /** Why something was not added; empty if all was. */
  readonly problem: string;
}

/** The files that were chosen in a room. They stay when the reader looks into another room. */
export function useChosen(roomId: string, limits: () => Limits, words: Words): ChosenFiles {
  const [chosen, setChosen] = useState(() => chosenIn.get(roomId) ?? []);
  const [problem, setProblem] = useState('');
  const set = useCallback(
    (next: readonly Chosen[]) => {
      if (next.length === 0) chosenIn.delete(roomId);
      else chosenIn.set(roomId, next);
      setChosen(next);
    },
    [roomId],
  );
  const add = useCallback(
    (files: readonly File[]) => {
      const before = chosenIn.get(roomId) ?? [];
      const { maxAttachments } = limits();
      const refusals = files.map((file) => refuse(file, limits(), words));
      const fit = files.filter((_file, index) => refusals[index] === '');
      const added = fit.slice(0, maxAttachments - before.length);
      const tooMany = added.length < fit.length ? words.files.tooMany(maxAttachments) : '';
      const problems = new Set([...refusals, tooMany].filter((problem) => problem !== ''));
      setProblem([...problems].slice(0, maxProblems).join(' '));
      set([...before, ...added.map(choose)]);
    },
    [roomId, limits, words, set],
  );
  const remove = useCallback(
    (key: number) => {
      setProblem('');
      set((chosenIn.get(roomId) ?? []).filter((one) => one.key !== key || release(one)));
    },
    [roomId, set],
  );
  const clear = useCallback(() => {
    setProblem('');
    for (const one of chosenIn.get(roomId) ?? []) release(one);
    set([]);
  }, [roomId, set]);
  return { chosen, add, remove, clear, problem };
}

function choose(file: File): Chosen {
  keys += 1;
  return { key: keys, file, url: /^image\//.test(file.type) ? URL.createObjectURL(file) : null };
}

function release({ url }: Chosen): false {
  if (url !== null) URL.revokeObjectURL(url);
  return false;
}

/** Why a file cannot be sent, in words; empty if it can. What it really is, the server looks at. */
function refuse({ name, size }: File, { maxFileBytes }: Limits, words: Words): string {
  if (maxFileBytes === 0) return words.files.noFiles;
  if (size > maxFileBytes) return words.files.tooLarge(name, formatBytes(maxFileBytes, words));
  return size === 0 ? words.files.empty(name) : '';
}

/** Another user is signed in. */
export function forgetChosen(): void {
  for (const files of chosenIn.values()) for (const one of files) release(one);
  chosenIn.clear();
}

/** The files of a paste or a drop, without folders. */
export function filesOf({ items, files }: DataTransfer): File[] {
  const folders = [...items].filter((item) => item.kind === 'file' && item.webkitGetAsEntry?.()?.isDirectory === true);
  if (folders.length === 0) return [...files];
  const names = new Set(folders.map((item) => item.getAsFile()?.name));
  return [...files].filter(({ name }) => !names.has(name));
}
