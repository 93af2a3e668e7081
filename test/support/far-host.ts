import { type ChildProcess, execFileSync, spawn } from 'node:child_process';

/** Another host, as TCP sees it: a network namespace behind a link that can be cut. */
export interface FarHost {
  /** This machine's address for that host. */
  readonly nearAddress: string;
  /** Runs a program there. */
  run(command: string, ...args: readonly string[]): ChildProcess;
  /** Drops all packets in both directions, without a notification. */
  cut(): void;
  remove(): void;
}

const ip = (...args: readonly string[]) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });

/** Why this machine cannot have a far host; empty if it can. */
export function whyNoFarHost(): string {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'a network of its own needs root on Linux';
  try {
    startFarHost().remove();
    return '';
  } catch (error) {
    return `no network of its own can be made here: ${(error as Error).message.split('\n')[0]}`;
  }
}

let made = 0;

export function startFarHost(): FarHost {
  made += 1;
  const id = `fw${process.pid % 1_000_000}x${made}`;
  const [near, far] = [`${id}n`, `${id}f`];
  // Each process and host takes its own pair from the block for benchmarks, 198.18.0.0/15.
  const pair = ((process.pid % 4_096) * 4 + (made % 4)) * 4;
  const address = (place: number) => `198.${18 + (pair >> 16)}.${(pair >> 8) & 255}.${(pair & 255) + place}`;
  ip('netns', 'add', id);
  try {
    ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far, 'netns', id);
    ip('addr', 'add', `${address(1)}/30`, 'dev', near);
    ip('link', 'set', near, 'up');
    ip('-n', id, 'addr', 'add', `${address(2)}/30`, 'dev', far);
    ip('-n', id, 'link', 'set', far, 'up');
  } catch (error) {
    ip('netns', 'del', id);
    throw error;
  }
  return {
    nearAddress: address(1),
    run: (command, ...args) =>
      spawn('ip', ['netns', 'exec', id, command, ...args], { stdio: ['ignore', 'pipe', 'inherit'] }),
    cut: () => void ip('link', 'set', near, 'down'),
    remove: () => {
      ip('link', 'del', near);
      ip('netns', 'del', id);
    },
  };
}
