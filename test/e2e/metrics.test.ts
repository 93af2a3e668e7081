import { expect, it, onTestFinished } from 'vitest';
import { Inspector, inspectorEnv } from '../support/inspector.js';
import { metricsEnv, metricsToken, readMetrics } from '../support/metrics.js';
import { describeWithNats } from '../support/requirements.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

describeWithNats('metrics', () => {
  const world = useWorld({ instances: 0 });

  it('require the token, and do not exist if none is set', async () => {
    const [open, none] = [await world.start(metricsEnv), await world.start()];
    const statusOf = async ({ url }: { readonly url: string }, authorization?: string) =>
      (await fetch(`${url}/metrics`, authorization === undefined ? {} : { headers: { authorization } })).status;
    expect(await statusOf(open, `Bearer ${metricsToken}`)).toBe(200);
    expect(await statusOf(open)).toBe(401);
    expect(await statusOf(open, `Bearer ${metricsToken}x`)).toBe(401);
    expect(await statusOf(none, `Bearer ${metricsToken}`)).toBe(404);
  });

  it('show the memory, and the event loop lag since the last read', async () => {
    const instance = await world.start({ ...metricsEnv, ...inspectorEnv });
    const inspector = await Inspector.attach(instance);
    onTestFinished(() => inspector.detach());
    const read = async (name: string) => (await readMetrics(instance)).get(name) ?? Number.NaN;
    expect(await read('process_resident_memory_bytes')).toBeGreaterThan(10_000_000);

    await inspector.keepBusy({ busyMs: 1_500, everyMs: 1_600, forMs: 1_600 });
    expect(await read('nodejs_eventloop_lag_max_seconds')).toBeGreaterThan(1);
    await waitFor(async () => (await read('nodejs_eventloop_lag_max_seconds')) < 1, { what: 'a look without delay' });
  });
});
