import { type JetStreamManager, jetstream, jetstreamManager, StorageType } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { expect, it } from 'vitest';
import type { Instance } from '../support/instance.js';
import { metricsEnv, readMetrics } from '../support/metrics.js';
import { startNats, startNatsWith, type TestNats } from '../support/nats.js';
import { becomesReady } from '../support/readiness.js';
import { describeWithNats } from '../support/requirements.js';
import { countTo, readStoredLog } from '../support/room-log.js';
import { readChatMessages } from '../support/stream.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const [kim, lee] = [4, 5];
const env = { ...metricsEnv, LOG_LEVEL: 'info' };
const allStreams = 'CHAT_MESSAGES, CHAT_PRESENCE, CHAT_TYPING, CHAT_FILE_WORK, CHAT_DEAD_LETTERS';

/** The lines of the log that contain the text. */
const linesWith = (instance: Instance | undefined, text: string | RegExp): string[] =>
  (instance?.output() ?? '').split('\n').filter((line) => line.match(text) !== null);

const warnings = (instance: Instance | undefined): string[] => linesWith(instance, /"level":(?:40|50|60)/);

async function asOperator<T>({ url, user, password }: TestNats, work: (nats: Operator) => Promise<T>): Promise<T> {
  const connection = await connect({ servers: url, user, pass: password });
  try {
    return await work({ connection, manager: await jetstreamManager(connection) });
  } finally {
    await connection.close();
  }
}

interface Operator {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
}

describeWithNats('a JetStream whose store is full', () => {
  const startFull = () => startNatsWith('jetstream { store_dir: $NATS_STORE_DIR, max_file_store: 300KB }');
  const world = useWorld({ instances: 1, env, nats: startFull });

  it('leaves refused entries unpublished, is logged once, and takes them when there is space', async () => {
    const [instance] = world.instances as [Instance];
    await becomesReady(instance, { status: 'ok', streams: 'ok', outbox: 'ok' });
    const [sender, reader] = [await world.client(kim), await world.client(lee)];
    const roomId = await sender.group(lee);
    const feed = reader.roomEvents({ roomId });
    await feed.count(1);
    const isPublished = async () => {
      const { head, publishedSeq } = await readStoredLog(world.database, roomId);
      return publishedSeq === head;
    };
    await waitFor(isPublished, { what: 'the entry of the making' });
    await asOperator(world.nats, async ({ connection, manager }) => {
      await manager.streams.add({ name: 'OTHER', subjects: ['other'] });
      const fill = async () => {
        const publish = () => jetstream(connection).publish('other', new Uint8Array(1_000), { retries: 0 });
        await Promise.all(countTo(50).map(publish));
      };
      await waitFor(
        () =>
          fill().then(
            () => false,
            () => true,
          ),
        { what: 'the first refusal' },
      );
    });

    for (const number of countTo(5)) await sender.send(roomId, `message ${number}`);
    await feed.count(6);
    const readiness = await becomesReady(instance, { outbox: 'behind' });

    // NATS is connected but refuses: an entry that it has not acknowledged is not marked as published.
    expect(readiness).toMatchObject({ status: 'degraded', postgres: 'ok', nats: 'ok', streams: 'ok' });
    expect(await readStoredLog(world.database, roomId)).toMatchObject({ head: 6, publishedSeq: 1 });
    const figures = await readMetrics(instance);
    expect(figures.get('fairway_outbox_entries')).toBe(5);
    expect(figures.get('fairway_outbox_seconds')).toBeGreaterThan(9);

    await asOperator(world.nats, ({ manager }) => manager.streams.delete('OTHER'));
    await waitFor(isPublished, { what: 'the acknowledgement of all' });
    await becomesReady(instance, { status: 'ok' });

    const stored = (await readChatMessages(world.nats)).filter(({ body }) => body['roomId'] === roomId);
    expect(stored.map(({ body }) => body['seq'])).toEqual(countTo(6));
    expect((await readMetrics(instance)).get('fairway_outbox_entries')).toBe(0);
    expect(linesWith(instance, 'CHAT_MESSAGES does not take')).toMatchObject([expect.stringContaining('insufficient')]);
    expect(linesWith(instance, 'CHAT_MESSAGES has everything again')).toHaveLength(1);
    expect(warnings(instance)).toHaveLength(1);
  });
});

describeWithNats('a stream that exists with other settings, which cannot be changed', () => {
  const startSpoilt = async () => {
    const nats = await startNats();
    await asOperator(nats, async ({ manager }) => {
      const subjects = ['chat.room.*.message', 'chat.dm.*.message'];
      await manager.streams.add({ name: 'CHAT_MESSAGES', subjects, storage: StorageType.Memory });
    });
    return nats;
  };
  const world = useWorld({ instances: 1, env, nats: startSpoilt });

  it('does not keep other streams from being created, is logged once, and is correct once it can be created', async () => {
    const [instance] = world.instances as [Instance];

    await becomesReady(instance, { status: 'degraded', nats: 'ok', streams: 'missing: CHAT_MESSAGES' });
    await asOperator(world.nats, async ({ manager }) => {
      const names = await manager.streams.names().next();
      expect([...names].sort()).toEqual(allStreams.split(', ').sort());
      expect((await readMetrics(instance)).get('fairway_streams_missing')).toBe(1);
      await manager.streams.delete('CHAT_MESSAGES');
    });
    await becomesReady(instance, { status: 'ok', streams: 'ok' });

    await asOperator(world.nats, async ({ manager }) => {
      const { config } = await manager.streams.info('CHAT_MESSAGES');
      expect(config.storage).toBe(StorageType.File);
    });
    expect(warnings(instance)).toMatchObject([expect.stringMatching(/CHAT_MESSAGES.*storage/)]);
    expect(linesWith(instance, 'All JetStream streams are ready')).toHaveLength(1);
  });
});

const lacking: [what: string, start: () => Promise<TestNats>, more: Readonly<Record<string, string>>][] = [
  ['without JetStream', () => startNatsWith(''), {}],
  ['with too few servers for NATS_REPLICAS', () => startNats(), { NATS_REPLICAS: '3' }],
];
for (const [what, nats, more] of lacking) {
  describeWithNats(`a NATS ${what}`, () => {
    const world = useWorld({ instances: 2, env: { ...env, ...more }, nats });

    it('is logged once, makes the instance degraded, and delivers live', async () => {
      const [sender, reader] = [await world.client(kim, 0), await world.client(lee, 1)];
      const roomId = await sender.group(lee);
      const feed = reader.roomEvents({ roomId });
      await feed.count(1);
      const { message } = await sender.send(roomId, '그래도 간다');

      expect((await feed.count(2))[1]).toMatchObject({ message: { id: message.id } });
      for (const instance of world.instances) {
        // By then the sweep has retried several times.
        const readiness = await becomesReady(instance, { outbox: 'behind' });
        expect(readiness).toMatchObject({ status: 'degraded', nats: 'ok', streams: `missing: ${allStreams}` });
        expect(warnings(instance).filter((line) => line.includes('Some JetStream streams'))).toHaveLength(1);
        expect(warnings(instance).length).toBeLessThanOrEqual(2);
      }
      expect(await readStoredLog(world.database, roomId)).toMatchObject({ head: 2, publishedSeq: 0 });
    });
  });
}
