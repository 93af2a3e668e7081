import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { TestClient } from './client.js';
import type { Instance } from './instance.js';
import { waitFor } from './wait-for.js';

/** Attacks until the signal is aborted, and does not end before: the whole measurement has to be under attack. */
export type Attack = (signal: AbortSignal) => Promise<unknown>;

const program = resolve(import.meta.dirname, 'bystander-process.mjs');
const everyMs = { send: 20, read: 40, subscribe: 100 };
const phaseMs = 5_000;
const maxPhases = 6;
const warmUpMs = 2_000;
/**
 * Nobody notices a tenth of a second in a chat. Usual times are some 10 ms; one more garbage collection would double them.
 * An attack without a limit costs seconds.
 */
const unnoticedMs = 100;
/** An attacker has another machine, so on this one the attacker's work yields to the server's. */
const attackerNiceness = 10;

export type Kind = keyof typeof everyMs;
/** In milliseconds, by kind of operation. */
export type Percentiles = Readonly<Record<Kind, number>>;
const kinds = Object.keys(everyMs) as Kind[];

/** A user in their own room, whose sends, reads and subscriptions show how far others can slow down an instance. */
export class Bystander {
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#process = child;
  }

  /** Sends, reads and subscribes from now on. The calling process is the attacker and yields to the others from now on. */
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
   * Asserts that the 99th percentiles under attack are at most twice the usual ones, or not noticeable, and resolves with
   * both.
   */
  async endures(attack: Attack): Promise<{ usual: Percentiles; attacked: Percentiles }> {
    const usual = await this.#usualTimes();
    const over = new AbortController();
    const attacking = attack(over.signal).then(
      () => expect(over.signal.aborted, 'the attack lasted until it was aborted').toBe(true),
      (error) => {
        if (!over.signal.aborted) throw error;
      },
    );
    const isSlow = (times: Percentiles) => kinds.some((kind) => times[kind] > Math.max(2 * usual[kind], unnoticedMs));
    const attacked = await this.#attackedTimes(attacking, isSlow);
    over.abort();
    await attacking;
    const [best] = attacked.toReversed() as [Percentiles];
    const told = attacked.map(toText).join('; ');
    expect(isSlow(best), `p99 in ms: ${toText(usual)} as a rule, ${told} under attack`).toBe(false);
    return { usual, attacked: best };
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.kill();
    await exited;
  }

  /** The times of a phase without an attack, once the effects of the attack before are gone. */
  async #usualTimes(): Promise<Percentiles> {
    return waitFor(
      async () => {
        await delay(phaseMs);
        const usual = await this.#takeTimes();
        return kinds.every((kind) => usual[kind] < unnoticedMs) ? usual : undefined;
      },
      { what: 'calm', timeoutMs: 60_000 },
    );
  }

  /**
   * The times of phases under the attack, up to the first that is not slow. Another program on this machine may slow down some
   * of them; an attack without a limit slows down all.
   */
  async #attackedTimes(attacking: Promise<void>, isSlow: (times: Percentiles) => boolean): Promise<Percentiles[]> {
    const phases: Percentiles[] = [];
    while (phases.length < maxPhases && (phases.length === 0 || phases.slice(-1).some(isSlow))) {
      await Promise.race([attacking, delay(phaseMs)]);
      phases.push(await this.#takeTimes());
    }
    return phases;
  }

  /** The times of the operations that were due since the last call. */
  async #takeTimes(): Promise<Percentiles> {
    expect(this.#process.exitCode, 'the bystander is running').toBeNull();
    const answer = once(this.#process, 'message');
    this.#process.send('take');
    const [times] = (await Promise.race([answer, once(this.#process, 'exit').then(() => [[]])])) as [Time[]];
    expect(times.length, 'operations of the bystander').toBeGreaterThan(0);
    const percentiles = kinds.map((kind) => [kind, percentile99(times.filter((time) => time.kind === kind))]);
    return Object.fromEntries(percentiles) as Percentiles;
  }
}

const toText = (times: Percentiles): string => kinds.map((kind) => `${kind} ${times[kind]}`).join(', ');

interface Time {
  readonly kind: Kind;
  readonly ms: number;
}

function percentile99(times: readonly Time[]): number {
  const sorted = times.map(({ ms }) => ms).sort((a, b) => a - b);
  return Math.round(sorted[Math.floor(sorted.length * 0.99)] ?? 0);
}
