import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Backend } from '../support/backend.js';
import { startDeployedNats } from '../support/nats.js';
import { describeWithNats } from '../support/requirements.js';
import { countTo } from '../support/room-log.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const [kim, lee] = [4, 5];
const subjects = 15;

interface Described {
  readonly type: string;
  readonly name: string;
  readonly id: string;
  readonly version: string;
  readonly endpoints: readonly {
    readonly name: string;
    readonly subject: string;
    readonly queue_group: string;
    readonly num_requests: number;
    readonly num_errors: number;
    readonly processing_time: number;
    readonly average_processing_time: number;
  }[];
}

describeWithNats('the responders of four instances', () => {
  const world = useWorld({ instances: 4, nats: startDeployedNats });
  let backend: Backend;
  beforeAll(async () => {
    backend = await Backend.connect(world.nats, undefined, { reconnectTimeWait: 20, reconnectJitter: 0 });
  });
  afterAll(() => backend?.close());

  /** The description that each instance returns. */
  async function discover(verb: string, count: number): Promise<Described[]> {
    const answers: Described[] = [];
    for await (const message of await backend.connection.requestMany(`$SRV.${verb}`, '', {
      strategy: 'count',
      maxMessages: count,
      maxWait: 10_000,
    })) {
      answers.push(message.json<Described>());
    }
    return answers;
  }
  const countOf = (stats: readonly Described[], subject: string) =>
    stats.map(({ endpoints }) => endpoints.find((endpoint) => endpoint.subject === subject)?.num_requests ?? 0);

  it('share 2,000 requests, and answer each once', async () => {
    const room = await backend.ask('chat.rooms.create', { type: 'GROUP', memberIds: [kim, lee] });
    const roomId: string = room.data.id;
    const before = countOf(await discover('STATS', 4), 'chat.messages.save');
    const answers = new Map<string, number>();
    const inbox = backend.connection.subscribe('_INBOX.backend.shared.*', {
      callback: (_error, { subject }) => void answers.set(subject, (answers.get(subject) ?? 0) + 1),
    });

    for (const number of countTo(2_000)) {
      const message = { id: randomUUID(), roomId, senderId: kim, content: String(number), type: 'TEXT' };
      const reply = `_INBOX.backend.shared.${number}`;
      backend.connection.publish('chat.messages.save', JSON.stringify(message), { reply });
    }
    await waitFor(() => answers.size === 2_000, { what: '2,000 answers' });
    await backend.connection.flush();
    inbox.unsubscribe();

    expect([...answers.values()].every((count) => count === 1)).toBe(true);
    const after = countOf(await discover('STATS', 4), 'chat.messages.save');
    const shares = after.map((count) => count - Math.min(...before));
    expect(shares.reduce((sum, share) => sum + share)).toBe(2_000);
    expect(Math.min(...shares)).toBeGreaterThan(100);
    const { data } = await backend.ask('chat.rooms.get', { roomId });
    expect(data.seq).toBe(2_001);
  });

  it('are discoverable, each by its id, with their endpoints and statistics', async () => {
    const info = await discover('INFO', 4);
    expect(new Set(info.map(({ id }) => id)).size).toBe(4);
    expect(info[0]).toMatchObject({ type: 'io.nats.micro.v1.info_response', name: 'fairway', version: /^\d/ });
    expect(info[0]?.endpoints).toHaveLength(subjects);
    expect(info[0]?.endpoints).toContainEqual({
      name: 'rooms-get',
      subject: 'chat.rooms.get',
      queue_group: 'fairway',
      metadata: {},
    });

    expect(await discover('PING.fairway', 4)).toHaveLength(4);
    const { id } = info[0] as Described;
    const [one] = await discover(`STATS.fairway.${id}`, 1);
    expect(one).toMatchObject({ id, type: 'io.nats.micro.v1.stats_response', started: expect.any(String) });
    const saved = one?.endpoints.find(({ name }) => name === 'messages-save');
    expect(saved?.processing_time).toBeGreaterThan(0);
    expect(saved?.num_errors).toBe(0);
  });

  it('answer again after NATS was restarted', async () => {
    const pids = world.instances.map(({ pid }) => pid);
    await world.nats.restart({ wipe: true });
    const answered = new Set<string>();
    await waitFor(
      async () => {
        for (const { id } of await askAll('PING')) answered.add(id);
        return answered.size === 4;
      },
      { what: 'all four responders', pollMs: 50 },
    );
    const answer = await backend.ask('chat.rooms.list', { userId: kim });

    expect(answer).toMatchObject({ success: true });
    expect(world.instances.map(({ pid }) => pid)).toEqual(pids);
  });

  /** The responders that answer within 200 ms; none while there is no connection. */
  async function askAll(verb: string): Promise<Described[]> {
    const answers: Described[] = [];
    try {
      const options = { strategy: 'stall' as const, maxWait: 200 };
      for await (const message of await backend.connection.requestMany(`$SRV.${verb}`, '', options)) {
        answers.push(message.json<Described>());
      }
    } catch {
      // Not connected yet, or no responder: the caller retries.
    }
    return answers;
  }

  it('finish their requests when their instance stops', async () => {
    const room = await backend.ask('chat.rooms.create', { type: 'GROUP', memberIds: [kim, lee] });
    const asked = countTo(400).map((number) => {
      const message = { id: randomUUID(), roomId: room.data.id, senderId: kim, content: String(number), type: 'TEXT' };
      return backend.ask('chat.messages.save', message);
    });
    await backend.connection.flush();

    await Promise.all(world.instances.slice(0, 3).map((instance) => instance.stop()));

    const answers = await Promise.all(asked);
    expect(answers.filter(({ success }) => success)).toHaveLength(400);
  });
});
