import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runScenario } from '../conformance/run-scenario.js';
import type { Scenario } from '../conformance/scenario.js';
import { createFairway } from '../src/fairway.js';

const folder = join(import.meta.dirname, '../conformance/scenarios');
const scenarios = readdirSync(folder).flatMap(
  (file) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as Scenario[],
);

describe('this client', () => {
  it.each(scenarios.map((scenario) => [scenario.name, scenario] as const))('%s', async (_name, scenario) => {
    expect(await runScenario(scenario, createFairway)).toEqual([]);
  });
});
