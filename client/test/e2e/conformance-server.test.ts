import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { waitFor } from '../../../test/support/wait-for.js';
import type { Scenario, Step } from '../../conformance/scenario.js';
import { serveConformance } from '../../conformance/serve.js';
import { createToken } from '../../conformance/simulated-network.js';
import { createEnvironment, createFairway } from '../../src/fairway.js';

const scenarios = ['resume', 'outbox'].flatMap(
  (file) =>
    JSON.parse(
      readFileSync(join(import.meta.dirname, `../../conformance/scenarios/${file}.json`), 'utf8'),
    ) as Scenario[],
);

/** Scenarios that need no other time than the real one. */
const names = [
  'resumes behind the newest event after a break',
  'puts events that changed places into their order',
  'reads the room anew when a backup was restored',
  'delivers in order, whatever fails in between',
  'gives up a refused message at once, and holds back what comes after it',
  'sends over HTTP while no socket opens',
];

it.each(names)('a client plays a scenario over a real network: %s', async (name) => {
  const { rooms, steps } = scenarios.find((scenario) => scenario.name === name) as Scenario;
  const server = await serveConformance();
  onTestFinished(() => server.close());
  const url = `http://127.0.0.1:${server.port}`;
  const post = async (path: string, body: unknown) => {
    const response = await fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body) });
    return (await response.json()) as Record<string, string>;
  };
  const roomIds = await post('/scenario', { rooms });
  const fairway = createFairway({
    url: `${url}/graphql`,
    getToken: () => createToken('4', Date.now(), 3_600_000),
    environment: createEnvironment({ WebSocket }),
  });
  onTestFinished(() => fairway.close());
  const room = fairway.room(roomIds['a'] ?? '');
  const texts = () => room.getSnapshot().messages.map(({ content, status }) => `${content} ${status}`);
  const sent = new Map<string, string>();

  const play = async (step: Step) => {
    if ('pass' in step) return;
    if ('client' in step) {
      if (step.client === 'open') room.subscribe(() => undefined);
      if (step.client === 'send') sent.set(step.as ?? '', room.send(step.content));
      if (step.client === 'retry') fairway.outbox.retry(sent.get(step.message) ?? '');
    } else if ('expect' in step) {
      const { status, messages, stored } = step.expect;
      await waitFor(() => status === undefined || room.getSnapshot().status === status, {
        what: `${status} in ${name}`,
      });
      if (messages !== undefined) {
        await waitFor(() => JSON.stringify(texts()) === JSON.stringify(messages), { what: `${messages} in ${name}` });
      }
      if (stored !== undefined) expect(await (await fetch(`${url}/state?room=a`)).json()).toMatchObject({ stored });
    } else {
      await post('/step', step);
      if ('network' in step && step.network === 'restore') fairway.reconnectNow();
    }
  };
  for (const step of steps) await play(step);
});
