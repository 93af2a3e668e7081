import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { identifyProcess, isAlive, isRunning } from '../../src/dev/embedded/process-identity.js';
import type { TestClient } from '../support/client.js';
import { createDatabase } from '../support/database.js';
import { type Instance, spawnInstance } from '../support/instance.js';
import { metricsEnv, readMetrics } from '../support/metrics.js';
import { whoAmI } from '../support/operations.js';
import { findOwnPort } from '../support/own-port.js';
import { RawHttp } from '../support/raw-http.js';
import { describeWithNats } from '../support/requirements.js';
import { countTo, readStoredLog } from '../support/room-log.js';
import { waitFor } from '../support/wait-for.js';
import { useWorld } from '../support/world.js';

const migrationLock = 72_707_369;
const kim = 4;
const lee = 5;
const waitingClients = 60;
const maxRetryMs = 2_000;

describeWithNats('two workers', () => {
  // The log names the process of each worker.
  const world = useWorld({ instances: 1, env: { WORKERS: '2', LOG_LEVEL: 'info', ...metricsEnv } });
  const instance = () => world.instances[0] as Instance;

  it('share a port: people on both talk to each other, and one scrape has the sum', async () => {
    const [a, b] = [await clientOf(1, kim), await clientOf(2, lee)];
    const roomId = await a.group(lee);
    const events = b.roomEvents({ roomId });
    await events.count(1);

    const { message } = await a.sendOverWs(roomId, '안녕하세요');

    expect(await events.count(2)).toMatchObject([{}, { __typename: 'MessageAdded', message: { id: message.id } }]);
    const metrics = await readMetrics(instance());
    expect(metrics.get('fairway_workers')).toBe(2);
    expect([1, 2].map((worker) => metrics.get(`fairway_worker_sockets{worker="${worker}"}`))).toEqual([1, 1]);
    expect(metrics.get('fairway_sockets')).toBe(2);
    expect(metrics.get('fairway_nats_connected')).toBe(1);
    // Its room and its message, sent by one worker and heard by the other, which has a feed of the room.
    expect(metrics.get('fairway_nats_published_total{kind="message"}')).toBe(2);
    expect(metrics.get('fairway_nats_received_total{kind="message"}')).toBeGreaterThanOrEqual(1);
    expect(metrics.get('fairway_nats_received_bytes_total{kind="message"}')).toBeGreaterThan(200);
    await Promise.all([a.close(), b.close()]);
  });

  it('lose nothing when one is killed under load: it is replaced, and its people resume', async () => {
    const [doomed, reader, other] = [await clientOf(1, kim), await clientOf(1, lee), await clientOf(2, lee)];
    const roomId = await doomed.group(lee);
    const lost = reader.roomEvents({ roomId, afterSeq: 0 });
    const kept = other.roomEvents({ roomId, afterSeq: 0 });
    await Promise.all([lost.count(2), kept.count(2)]);
    const before = await readMetrics(instance());
    const { replaced } = await becomesWhole();

    const pid = await pidOf(1);
    let answered = 0;
    const sends = countTo(60).map(async (number) => {
      const sent = await doomed.sendOverWs(roomId, String(number)).catch(() => undefined);
      answered += 1;
      if (answered === 20) process.kill(pid, 'SIGKILL');
      return sent?.message;
    });
    const acknowledged = (await Promise.all(sends)).flatMap((message) => message ?? []);

    await becomesWhole({ replaced: replaced + 1 });
    const { head, added } = await readStoredLog(world.database, roomId);
    expect(acknowledged.length).toBeGreaterThanOrEqual(19);
    expect(added).toEqual(expect.arrayContaining(acknowledged.map(({ seq }) => seq)));
    const seen = lost.events.filter(isAdded).map(({ seq }) => seq as number);
    const resumed = (await clientOf(1, lee)).roomEvents({ roomId, afterSeq: seen.at(-1) ?? 0 });
    for (const feed of [kept, resumed]) {
      await feed.until((events) => (events.at(-1)?.seq ?? 0) >= head, `position ${head}`);
    }
    expect([...seen, ...resumed.events.filter(isAdded).map(({ seq }) => seq)]).toEqual(countTo(head));
    expect(kept.events.filter(isAdded).map(({ seq }) => seq)).toEqual(countTo(head));
    // What the killed worker had counted is still in the sum.
    const published = 'fairway_nats_published_total{kind="message"}';
    expect((await readMetrics(instance())).get(published)).toBeGreaterThanOrEqual(before.get(published) ?? Number.NaN);
  });

  it('are replaced when they hang, and leave no client waiting whose connection was given to one', async () => {
    const { replaced } = await becomesWhole();
    const pid = await pidOf(1);
    process.kill(pid, 'SIGSTOP');
    onTestFinished(() => void (isAlive(pid) && process.kill(pid, 'SIGKILL')));
    const connections = await Promise.all(countTo(4).map(() => RawHttp.connect(instance())));
    for (const connection of connections) connection.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n');
    const waiting = () => connections.filter(({ received }) => received === '');
    await waitFor(() => waiting().length === 1, { what: 'the answers of the other worker' });

    await waitFor(() => waiting()[0]?.isClosed, { what: 'the end of the connection' });
    await becomesWhole({ replaced: replaced + 1 });
    expect(instance().output()).toContain('A worker hangs and is being killed');
    for (const connection of connections) connection.close();
  });

  it('stop in order, with 1012, even if every process gets the signals', async () => {
    const sockets = await Promise.all(
      countTo(8).map(async () => {
        const socket = new WebSocket(`${instance().url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
        await once(socket, 'open');
        return socket;
      }),
    );
    const closed = sockets.map((socket) => once(socket, 'close').then(([code]) => code as number));
    const pids = await Promise.all([1, 2].map((number) => pidOf(number)));
    const processes = [...pids, instance().pid].map(identifyProcess);

    const author = await clientOf(1, kim);
    const roomId = await author.group(lee);
    const holder = new pg.Client({ connectionString: world.database.url });
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT FROM chat_rooms WHERE id = $1 FOR UPDATE', [roomId]);
    const underWay = author.sendOverWs(roomId, 'under way');
    const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    await waitFor(async () => (await world.database.query(waiting)).length > 0, { what: 'the send to wait' });

    for (const pid of pids) process.kill(pid, 'SIGINT');
    const stopped = instance().stop();
    // The other worker has been ordered to stop by then, and so has the one that still waits for the send.
    await Promise.race(closed);
    for (const pid of pids.filter(isAlive)) process.kill(pid, 'SIGTERM');
    await holder.query('COMMIT');
    await holder.end();

    expect(await underWay).toMatchObject({ duplicate: false });
    expect(await stopped).toBe(0);
    expect(new Set(await Promise.all(closed))).toEqual(new Set([1012]));
    expect(processes.filter(isRunning)).toEqual([]);
  });

  it('share those who wait for the start, also if one is slow, and end when the primary process is killed', {
    timeout: 120_000,
  }, async () => {
    const port = await findOwnPort();
    const url = `http://127.0.0.1:${port}`;
    const { child, output } = spawnInstance({
      databaseUrl: world.database.url,
      nats: world.nats,
      env: { WORKERS: '2', PORT: String(port), LOG_LEVEL: 'info', ...metricsEnv },
    });
    const pids = await waitFor(() => pairOf(childrenOf(child.pid ?? -1)), {
      what: 'two processes',
      pollMs: 10,
    });
    const processes = pids.map(identifyProcess);
    onTestFinished(() => {
      for (const left of processes.filter(isRunning)) process.kill(left.pid, 'SIGKILL');
    });
    process.kill(pids[1], 'SIGSTOP');
    const sockets: WebSocket[] = [];
    onTestFinished(() => {
      for (const socket of sockets) socket.terminate();
    });
    const waiting = countTo(waitingClients).map(async () => sockets.push(await connectPatiently(url)));
    await waitFor(() => output().includes('"Prepared') || sockets.length === waitingClients, {
      what: 'the first worker',
    });

    process.kill(pids[1], 'SIGCONT');
    await Promise.all(waiting);
    const metrics = await readMetrics({ url });
    const shares = [1, 2].map((worker) => metrics.get(`fairway_worker_sockets{worker="${worker}"}`) ?? 0);
    expect(Math.min(...shares), `of ${shares}`).toBeGreaterThanOrEqual(waitingClients / 10);
    for (const socket of sockets) socket.terminate();
    child.kill('SIGKILL');

    await waitFor(() => processes.every((each) => !isRunning(each)), { what: 'the end of the workers' });
  });

  it('that cannot listen end the start with one message', async () => {
    const database = await createDatabase({ migrated: false });
    onTestFinished(() => database.drop());
    const holder = new pg.Client({ connectionString: database.url });
    await holder.connect();
    await holder.query('SELECT pg_advisory_lock($1)', [migrationLock]);
    const port = await findOwnPort();
    const { child, output } = spawnInstance({
      databaseUrl: database.url,
      nats: world.nats,
      env: { WORKERS: '2', PORT: String(port) },
    });
    const closed = once(child, 'close');
    // The port was free when it was checked, before the migration.
    const isWaiting = () => database.query('SELECT FROM pg_locks WHERE NOT granted');
    await waitFor(async () => (await isWaiting()).length > 0, { what: 'the wait for the lock' });
    const taker = createServer().listen(port, '127.0.0.1');
    onTestFinished(() => void taker.close());
    await once(taker, 'listening');

    await holder.end();

    expect(await closed, output()).toEqual([1, null]);
    expect(output().match(new RegExp(`Port ${port} of 127.0.0.1 is in use`, 'g'))).toHaveLength(1);
    expect(output()).not.toMatch(/\n\s+at /);
  });

  /** Tries again at some moment of the next seconds until the port is open, as clients do during a restart. */
  async function connectPatiently(url: string): Promise<WebSocket> {
    for (;;) {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
      const isOpen = await once(socket, 'open').then(
        () => true,
        () => false,
      );
      socket.on('error', () => undefined);
      if (isOpen) return socket;
      await delay(Math.random() * maxRetryMs);
    }
  }

  /** A client whose socket is on the worker with this number. */
  async function clientOf(worker: number, userId: number): Promise<TestClient> {
    for (let attempt = 1; attempt <= 20; attempt += 1) {
      const before = await socketsOf(worker);
      const client = await world.client(userId);
      await client.ws(whoAmI, {});
      if ((await socketsOf(worker)) > before) return client;
      await client.close();
      // Sockets of an earlier test may have ended meanwhile, too.
      await waitFor(async () => (await socketsOf(worker)) <= before, { what: 'the end of the socket' });
    }
    throw new Error(`Worker ${worker} gets no socket`);
  }

  const socketsOf = async (worker: number): Promise<number> =>
    (await readMetrics(instance())).get(`fairway_worker_sockets{worker="${worker}"}`) ?? 0;

  /** The id of the process that is the worker with this number now. */
  const pidOf = (worker: number): Promise<number> =>
    waitFor(
      () => {
        const isOfWorker = (line: string) => line.includes(`"worker":${worker},`) && line.includes('"Serving"');
        const { pid } = JSON.parse(instance().output().split('\n').findLast(isOfWorker) ?? '{"pid":-1}') as {
          pid: number;
        };
        return pid > 0 && isAlive(pid) ? pid : undefined;
      },
      { what: `the log of worker ${worker}` },
    );

  /** Resolves once both workers serve, after this many replacements. */
  const becomesWhole = (wanted?: { replaced: number }) =>
    waitFor(
      async () => {
        const metrics = await readMetrics(instance());
        const replaced = metrics.get('fairway_workers_replaced_total') ?? Number.NaN;
        return metrics.get('fairway_workers') === 2 && replaced === (wanted?.replaced ?? replaced)
          ? { replaced }
          : undefined;
      },
      { what: 'two workers', pollMs: 100 },
    );

  const childrenOf = (pid: number): number[] =>
    spawnSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
      .stdout.split('\n')
      .filter((line) => line !== '')
      .map(Number);

  const pairOf = ([one, other]: number[]) => one !== undefined && other !== undefined && ([one, other] as const);

  const isAdded = ({ __typename }: { readonly __typename: string }): boolean => __typename === 'MessageAdded';
});
