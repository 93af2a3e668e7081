import { afterAll, beforeAll, expect, it } from 'vitest';
import { Backend } from '../support/backend.js';
import { metricsEnv, readMetrics } from '../support/metrics.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

describeWithNats('on a nats-server without permission rules', () => {
  const world = useWorld({ instances: 1, env: metricsEnv });
  let backend: Backend;
  const heard: string[] = [];
  beforeAll(async () => {
    backend = await Backend.connect(world.nats);
    backend.connection.subscribe('>', { callback: (_error, { subject }) => void heard.push(subject) });
    await backend.connection.flush();
  });
  afterAll(() => backend?.close());

  it('answers go to inboxes only, whatever reply subject a request names', async () => {
    const [instance] = world.instances;
    const elsewhere = ['booking.999.created', 'chat.user.4.presence', '$JS.API.STREAM.NAMES', 'any', '_INBOX'];
    const requests = ['chat.rooms.list', 'chat.messages.save', '$SRV.PING', '$SRV.INFO.fairway'];
    const read = async () => (await readMetrics(instance as { url: string })).get('fairway_nats_unanswered_total');
    expect(await read()).toBe(0);

    for (const reply of elsewhere) {
      for (const subject of requests) backend.connection.publish(subject, '{"userId":4}', { reply });
    }
    await waitFor(async () => (await read()) === elsewhere.length * requests.length, { what: 'all requests' });
    for (const subject of requests)
      backend.connection.publish(subject, '{"userId":4}', { reply: `_INBOX.for.${subject}` });
    const inboxes = () => heard.filter((subject) => subject.startsWith('_INBOX.for.'));
    await waitFor(() => inboxes().length === requests.length, { what: 'the answers to inboxes' });

    expect(heard.filter((subject) => elsewhere.includes(subject))).toEqual([]);
    const lines = instance
      ?.output()
      .split('\n')
      .filter((line) => line.includes('NATS_REPLY_PREFIXES'));
    expect(lines).toHaveLength(1);
  });
});
