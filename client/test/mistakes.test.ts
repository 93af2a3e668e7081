import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type CreateClient, runScenario } from '../conformance/run-scenario.js';
import type { Scenario } from '../conformance/scenario.js';

/** A mistake that clients make: in which file, what is right, and what is wrong in its place. */
const mistakes: Record<string, readonly [string, string, string]> = {
  'resumes without a position': ['room/live-log.ts', 'afterSeq: log?.seq ?? null', 'afterSeq: null'],
  'makes another id for a retry': [
    'outbox/delivery.ts',
    'const input = { id, roomId,',
    'const input = { id: deps.environment.uuid(), roomId,',
  ],
  'keeps the outbox in memory only': [
    'outbox/outbox.ts',
    "entries = await storage.entries('outbox');",
    'entries = [];',
  ],
  'lets messages overtake one that has failed': [
    'outbox/outbox.ts',
    '.find((operation) => queueOf(operation) === queue);',
    '.find((operation) => queueOf(operation) === queue && operation.error === null);',
  ],
  'repeats what was refused for good': [
    'outbox/delivery.ts',
    "if (isFinal(error)) return { state: 'refused', code: error.code };",
    '',
  ],
  'ignores a restored backup': [
    'room/log.ts',
    "return { log, consequence: 'reload' };\n    case 'MembersRead'",
    "return { log, consequence: 'none' };\n    case 'MembersRead'",
  ],
  'takes a repeated event for a new one': [
    'room/log.ts',
    "if (seq <= log.seq) return { log, consequence: 'none' };",
    '',
  ],
  'does not notice that an event is missing': ['room/log.ts', 'if (isLive && seq > log.seq + 1)', 'if (false)'],
  'does not read the marks again': ['room/live-log.ts', '// Read marks are not replayed.\n    this.#read(false);', ''],
  'leaves deleted texts on the disk': [
    'room/room.ts',
    "if (__typename === 'MessageDeleted') this.#membership.countDeleted(message, seq);\n        this.#saveSoon();",
    "if (__typename === 'MessageDeleted') this.#membership.countDeleted(message, seq);",
  ],
  'asks for tokens for ever': ['connection/token.ts', 'if (this.#refusals >= 2) this.#isSignedOut = true;', ''],
  'believes that a silent socket lives': [
    'connection/heartbeat.ts',
    'cancelAnswer = environment.setTimer(onDead, withinMs);',
    'cancelAnswer = () => {};',
  ],
  'counts being offline as a failure': [
    'outbox/delivery.ts',
    "return { state: 'offline' };",
    "return { state: 'later', isFailure: true };",
  ],
  'marks as read what nobody saw': [
    'room/seen.ts',
    'environment.page.isVisible() && environment.page.isFocused()',
    'true',
  ],
};

const source = join(import.meta.dirname, '../src');
const folder = join(import.meta.dirname, 'generated/mistakes');
const scenarios = readdirSync(join(import.meta.dirname, '../conformance/scenarios')).flatMap(
  (file) => JSON.parse(readFileSync(join(import.meta.dirname, '../conformance/scenarios', file), 'utf8')) as Scenario[],
);

describe('a client that', () => {
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(Object.entries(mistakes).map(([name, mistake], index) => [name, index, mistake] as const))(
    '%s does not pass',
    async (_name, index, [file, right, wrong]) => {
      const copy = join(folder, String(index));
      cpSync(source, copy, { recursive: true });
      const text = readFileSync(join(copy, file), 'utf8');
      expect(text.split(right)).toHaveLength(2);
      writeFileSync(join(copy, file), text.replace(right, wrong));
      const { createFairway } = (await import(/* @vite-ignore */ join(copy, 'fairway.ts'))) as {
        createFairway: CreateClient;
      };

      let failed: string | undefined;
      for (const scenario of scenarios) {
        if ((await runScenario(scenario, createFairway)).length === 0) continue;
        failed = scenario.name;
        break;
      }
      expect(failed).toBeDefined();
    },
  );
});
