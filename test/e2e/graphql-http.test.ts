import { type AuditResult, serverAudits } from 'graphql-http';
import { expect, it } from 'vitest';
import { describeWithNats } from '../support/requirements.js';
import { useWorld } from '../support/world.js';

describeWithNats('GraphQL over HTTP', () => {
  const world = useWorld({ instances: 1 });

  it('passes every audit of the specification', async () => {
    const audits = serverAudits({ url: () => `${world.instances[0]?.url}/graphql` });
    const results: AuditResult[] = [];
    for (const audit of audits) results.push(await audit.fn());

    expect(results.filter(({ status }) => status !== 'ok').map(({ id, name }) => `${id} ${name}`)).toEqual([]);
    expect(results).toHaveLength(61);
  });
});
