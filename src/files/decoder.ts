import { type ChildProcess, fork } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import pLimit from 'p-limit';
import { type AttachmentFailure, maxFilesAtOnce } from '../domain/attachment.js';
import { ChatError } from '../domain/errors.js';
import { every } from '../domain/every.js';
import type { PictureSize } from './picture-size.js';

/** What the process is asked: the type of a file that begins so, with the size of a picture, or the versions of a picture. */
export type DecoderTask =
  | { readonly kind: 'look'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'picture';
      readonly path: string;
      readonly contentType: string;
      /** Where it writes the versions. */
      readonly folder: string;
      /** The thumbnails to make and their widest sides, the largest first. */
      readonly pixels: readonly (readonly [version: string, side: number])[];
    };

export interface MadePicture {
  readonly width: number;
  readonly height: number;
  /** In base64. */
  readonly thumbHash: string;
  /** The names of the files that were written. */
  readonly versions: readonly string[];
}

export type DecoderAnswer =
  | { readonly contentType: string | undefined; readonly size?: PictureSize | undefined }
  | { readonly picture: MadePicture }
  | { readonly failure: AttachmentFailure };

const program = fileURLToPath(new URL('./decoder-process.js', import.meta.url));
const maxResidentBytes = 200 * 2 ** 20;
const maxCpuMs = 3_000;
/** For systems that do not show the CPU time of a process, and for a process that waits for ever. A busy machine needs long. */
const maxMs = 45_000;
/** Memory grows by 100 MB at most in this time. */
const lookMs = 20;
/** A process that keeps more than this after its task would need too much for the next one: it ends. */
const maxIdleBytes = 90 * 2 ** 20;
/** A process without work ends after this time. */
const idleMs = 10_000;
const pageBytes = 4_096;
const tickMs = 10;

/**
 * Processes that decode what strangers have sent. One that crashes, needs too much memory or time, or does not answer is
 * killed, and its task has failed; the server never notices.
 */
export class Decoder {
  readonly #pictures = pLimit(maxFilesAtOnce);
  /** Looking at a header is quick, and never waits for somebody's pictures. */
  readonly #looks = pLimit(1);
  readonly #idle: { readonly child: ChildProcess; readonly timer: NodeJS.Timeout }[] = [];
  readonly #all = new Set<ChildProcess>();
  #isClosed = false;

  /** How many tasks run or wait. */
  get size(): number {
    const limits = [this.#pictures, this.#looks];
    return limits.reduce((sum, { activeCount, pendingCount }) => sum + activeCount + pendingCount, 0);
  }

  /**
   * Resolves with the answer: with BROKEN if the process crashed, and TOO_MANY_PIXELS if it was killed for its limits.
   * @throws {ChatError} UNAVAILABLE if the server stops meanwhile
   */
  run(task: DecoderTask): Promise<DecoderAnswer> {
    const limit = task.kind === 'look' ? this.#looks : this.#pictures;
    return limit(async () => {
      if (this.#isClosed) throw closed();
      const child = this.#take();
      const answer = await ask(child, task);
      // The server stops: that is not the fault of the bytes.
      if (this.#isClosed) throw closed();
      if (child.connected) await this.#putBack(child);
      return answer;
    });
  }

  close(): void {
    this.#isClosed = true;
    for (const child of this.#all) child.kill('SIGKILL');
  }

  #take(): ChildProcess {
    const waiting = this.#idle.pop();
    if (waiting !== undefined) {
      clearTimeout(waiting.timer);
      return waiting.child;
    }
    // It gets nothing of this process: no secrets, no debugger, no connections.
    const child = fork(program, {
      serialization: 'advanced',
      env: {},
      execArgv: [],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.#all.add(child);
    child.once('exit', () => {
      this.#all.delete(child);
      const place = this.#idle.findIndex((one) => one.child === child);
      if (place !== -1) clearTimeout(this.#idle.splice(place, 1)[0]?.timer);
    });
    child.on('error', () => undefined);
    return child;
  }

  async #putBack(child: ChildProcess): Promise<void> {
    const use = await readUse(child.pid);
    if (this.#isClosed || (use !== undefined && use.residentBytes > maxIdleBytes)) child.kill('SIGKILL');
    if (child.killed || child.exitCode !== null || child.signalCode !== null) return;
    this.#idle.push({ child, timer: setTimeout(() => child.kill('SIGKILL'), idleMs).unref() });
  }
}

const closed = () => new ChatError('UNAVAILABLE', 'The server stops');

/** Kills the process beyond its limits. */
function ask(child: ChildProcess, task: DecoderTask): Promise<DecoderAnswer> {
  return new Promise((resolve) => {
    let failure: AttachmentFailure = 'BROKEN';
    let isOver = false;
    const end = (answer: DecoderAnswer) => {
      isOver = true;
      void watch.stop();
      clearTimeout(timer);
      child.off('message', end as (message: unknown) => void);
      child.off('exit', fail);
      resolve(answer);
    };
    const fail = () => end({ failure });
    const kill = () => {
      failure = 'TOO_MANY_PIXELS';
      child.kill('SIGKILL');
    };
    const timer = setTimeout(kill, maxMs);
    child.on('message', end as (message: unknown) => void);
    child.once('exit', fail);
    child.send(task, (error) => {
      if (error !== null) child.kill('SIGKILL');
    });
    let startMs: number | undefined;
    const watch = every(lookMs, async () => {
      const used = await readUse(child.pid);
      if (used === undefined || isOver) return;
      startMs ??= used.cpuMs;
      if (used.residentBytes > maxResidentBytes || used.cpuMs - startMs > maxCpuMs) kill();
    });
  });
}

/** What a process uses now; undefined where the system does not show it. */
async function readUse(pid: number | undefined): Promise<{ cpuMs: number; residentBytes: number } | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The name in brackets may contain anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [user = 0, system = 0] = [Number(fields[11]), Number(fields[12])];
    return { cpuMs: (user + system) * tickMs, residentBytes: Number(fields[21]) * pageBytes };
  } catch {
    return undefined;
  }
}
