import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A process, told apart from every other that has had or will have its number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; undefined where the system does not tell, and then only the number counts. */
  readonly startedAt: string | undefined;
}

export const identifyProcess = (pid: number): ProcessIdentity => ({ pid, startedAt: readStartTime(pid) });

/** Whether exactly this process still runs; one that took over its number does not count, nor does a zombie. */
export function isRunning({ pid, startedAt }: ProcessIdentity): boolean {
  return isAlive(pid) && (startedAt === undefined || readStartTime(pid) === startedAt);
}

/** Whether a process has this number. Zombies, which only wait for somebody to read their exit code, do not count. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return readStat(pid)?.[0] !== 'Z';
}

/** The command line of a process in one string, or undefined where there is none to be read. */
export function readCommandLine(pid: number): string | undefined {
  if (process.platform !== 'linux') return askPs(pid, 'args=');
  return readIfThere(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ').trim();
}

/** In ticks since a boot, and which boot: `ticks@boot`. Elsewhere than on Linux what `ps` says, to the second. */
function readStartTime(pid: number): string | undefined {
  if (process.platform !== 'linux') return askPs(pid, 'lstart=');
  const ticks = readStat(pid)?.[19];
  return ticks === undefined ? undefined : `${ticks}@${readIfThere('/proc/sys/kernel/random/boot_id')?.trim()}`;
}

/** The fields of proc(5) from the third, the state, on. The second may itself hold spaces and parentheses. */
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
