import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Identifies a process uniquely, even if its number is used again later. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; undefined if the system does not provide it: then only the number counts. */
  readonly startedAt: string | undefined;
}

export const identifyProcess = (pid: number): ProcessIdentity => ({ pid, startedAt: readStartTime(pid) });

/** Whether exactly this process still runs. Another process with its number does not count, nor does a zombie. */
export function isRunning({ pid, startedAt }: ProcessIdentity): boolean {
  return isAlive(pid) && (startedAt === undefined || readStartTime(pid) === startedAt);
}

/** Whether a process has this number. Zombies, which have ended but were not reaped by their parent, do not count. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return readStat(pid)?.[0] !== 'Z';
}

/** The command line of a process in one string, or undefined if it cannot be read. */
export function readCommandLine(pid: number): string | undefined {
  if (process.platform !== 'linux') return askPs(pid, 'args=');
  return readIfThere(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ').trim();
}

/** The start time in ticks since boot, with the boot's id: `ticks@boot`. On other systems than Linux, the output of `ps`. */
function readStartTime(pid: number): string | undefined {
  if (process.platform !== 'linux') return askPs(pid, 'lstart=');
  const ticks = readStat(pid)?.[19];
  return ticks === undefined ? undefined : `${ticks}@${readIfThere('/proc/sys/kernel/random/boot_id')?.trim()}`;
}

/** The fields of proc(5) from the third one, the state. The second may contain spaces and parentheses. */
const readStat = (pid: number) => readIfThere(`/proc/${pid}/stat`)?.split(')').at(-1)?.trim().split(' ');

function askPs(pid: number, field: string): string | undefined {
  const answer = spawnSync('ps', ['-o', field, '-p', String(pid)], { encoding: 'utf8' }).stdout?.trim();
  return answer === '' ? undefined : answer;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
