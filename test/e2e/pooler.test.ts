import { expect, it, onTestFinished } from 'vitest';
import { TestClient } from '../support/client.js';
import { startInstance } from '../support/instance.js';
import { startPooler } from '../support/pooler.js';
import { describeWithPooler } from '../support/requirements.js';
import { useWorld } from '../support/world.js';

describeWithPooler('PgBouncer between the instance and PostgreSQL', () => {
  const world = useWorld({ instances: 0 });
  const startPooled = async (mode: 'session' | 'transaction' | 'statement') => {
    const pooler = await startPooler(world.database.url, mode);
    onTestFinished(() => pooler.stop());
    return { databaseUrl: pooler.url, nats: world.nats };
  };

  it('serves in session mode, with the settings that every connection has', async () => {
    const instance = await startInstance(await startPooled('session'));
    onTestFinished(async () => void (await instance.stop()));
    const [kim, lee] = [await TestClient.create(instance, 4), await TestClient.create(instance, 5)];
    const roomId = await kim.group(5);
    const told = lee.roomEvents({ roomId, afterSeq: 0 });

    const sent = await Promise.all(['하나', '둘', '셋'].map((content) => kim.send(roomId, content)));

    expect(sent.map(({ message }) => message.seq).sort()).toEqual([2, 3, 4]);
    await told.until((events) => events.at(-1)?.seq === 4, 'the newest message');
    expect(await (await fetch(`${instance.url}/readyz`)).json()).toMatchObject({ postgres: 'ok' });
    await Promise.all([kim.close(), lee.close()]);
  });

  it.each(['transaction', 'statement'] as const)('is refused at start in %s mode, in a sentence', async (mode) => {
    const failure = await startInstance(await startPooled(mode)).catch((error: Error) => error.message);

    expect(failure).toContain('ended with 1');
    expect(failure).toContain('DATABASE_URL leads to a pooler in transaction mode');
    expect(failure).not.toMatch(/\n\s+at /);
  });
});
