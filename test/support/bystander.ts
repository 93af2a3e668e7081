import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { TestClient } from './client.js';
import type { Instance } from './instance.js';
import { waitFor } from './wait-for.js';

/** Does harm until the signal is aborted, and does not end before: all of what is measured is to be under attack. */
export type Attack = (signal: AbortSignal) => Promise<unknown>;

const program = resolve(import.meta.dirname, 'bystander-process.mjs');
const everyMs = 20;
const phaseMs = 5_000;
const warmUpMs = 2_000;
/**
 * Nobody notices a tenth of a second in a chat. The usual is some 10 ms, twice of which one garbage collection more would
 * exceed, and an attack that is not bounded costs seconds.
 */
const unnoticedMs = 100;
/** The attacker has a machine of their own: on this one their work yields to the server's. */
const attackerNiceness = 10;

/** A user in a room of their own, at whose sends it shows what others can do to an instance. */
export class Bystander {
  readonly #process: ChildProcess;
  #usual: number[] = [];

  private constructor(child: ChildProcess) {
    this.#process = child;
  }

  /** Sends from now on. The calling process is the attacker: from now on it yields to the others. */
  static async start(instance: Instance, client: TestClient, otherId: number): Promise<Bystander> {
    const roomId = await client.direct(otherId);
    const task = { url: instance.url, authorization: `Bearer ${client.token}`, roomId, everyMs };
    const child = fork(program, [JSON.stringify(task)], { execArgv: [] });
    setPriority(attackerNiceness);
    const bystander = new Bystander(child);
    await delay(warmUpMs);
    await bystander.#takeTimes();
    return bystander;
  }

  /**
   * Resolves with the 99th percentiles of the usual and of the time under attack, in milliseconds, once it is shown that
   * the second is at most twice the first.
   */
  async endures(attack: Attack): Promise<{ usual: number; attacked: number }> {
    const usual = percentile99(await this.#usualTimes());
    const over = new AbortController();
    const attacking = attack(over.signal).then(
      () => expect(over.signal.aborted, 'the attack lasted until its end was asked for').toBe(true),
      (error) => {
        if (!over.signal.aborted) throw error;
      },
    );
    await Promise.race([attacking, delay(phaseMs)]);
    const attacked = percentile99(await this.#takeTimes());
    over.abort();
    await attacking;
    expect(attacked, `p99 of sends in ms, ${usual} as a rule`).toBeLessThan(Math.max(2 * usual, unnoticedMs));
    return { usual, attacked };
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.kill();
    await exited;
  }

  /** The times of a phase without an attack, once the traces of the attack before are gone. */
  async #usualTimes(): Promise<number[]> {
    await waitFor(
      async () => {
        await delay(phaseMs);
        this.#usual = await this.#takeTimes();
        return percentile99(this.#usual) < unnoticedMs;
      },
      { what: 'calm', timeoutMs: 60_000 },
    );
    return this.#usual;
  }

  /** How long each send took that was due since the last look. */
  async #takeTimes(): Promise<number[]> {
    expect(this.#process.exitCode, 'the bystander goes on').toBeNull();
    const answer = once(this.#process, 'message');
    this.#process.send('take');
    const [times] = await Promise.race([answer, once(this.#process, 'exit').then(() => [[]])]);
    expect(times.length, 'sends of the bystander').toBeGreaterThan(0);
    return times as number[];
  }
}

function percentile99(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return Math.round(sorted[Math.floor(sorted.length * 0.99)] ?? 0);
}
