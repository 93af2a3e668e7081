import { beforeAll, describe, expect, it } from 'vitest';
import type { TestClient } from '../support/client.js';
import type { Instance } from '../support/instance.js';
import { metricsEnv, readMetrics } from '../support/metrics.js';
import { openConnection, openConnections, PresenceWatch, quiet, range } from '../support/presence-watch.js';
import { describeWithNats } from '../support/requirements.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { waitFor } from '../support/wait-for.js';
import type { RawSocket } from '../support/wire.js';
import { useWorld, type World } from '../support/world.js';

const leaseMs = 30_000;
const sweepMs = 3_000;
const patienceMs = 10_000;

const [hereIds, thereIds] = [range(100, 10), range(200, 10)];
const everybody = [...hereIds, ...thereIds];
/** Four more users, who come and go in the tests. */
const [first, second, third, fourth] = [301, 302, 303, 304];
const others = [first, second, third, fourth];
/** Somebody who comes once. */
const newcomer = 311;

/** Users at two instances, and one at each who watches them all. */
interface Crowd {
  readonly here: Instance;
  readonly there: Instance;
  readonly connections: ReadonlyMap<number, RawSocket>;
  readonly watches: readonly [PresenceWatch, PresenceWatch];
}

describeWithNats('presence', () => {
  describe.concurrent('around an instance that is stopped for 40 s', () => {
    const world = useWorld();

    it('is right again, for its own users and for those elsewhere', async () => {
      const { here, there, connections, watches } = await gather(world);
      const [atHere, atThere] = watches;
      const [leaving, staying] = [await openConnection(here, first), await openConnection(here, second)];
      await openConnection(there, third);
      await atThere.until('ONLINE', [first, second, third]);

      const stoppedAt = performance.now();
      here.process.kill('SIGSTOP');
      leaving.ws.terminate();
      connections.get(thereIds[0] as number)?.ws.terminate();
      await openConnection(there, fourth);
      const told = await atThere.until('OFFLINE', [...hereIds, first, second], 2 * leaseMs);
      expect(Math.min(...told.map(({ at }) => at)) - stoppedAt).toBeGreaterThan(leaseMs / 2);
      await quiet(40_000 - (performance.now() - stoppedAt));
      here.process.kill('SIGCONT');

      const online = [...hereIds, ...thereIds.slice(1), second, third, fourth];
      const offline = [first, thereIds[0] as number];
      for (const watch of watches) {
        await watch.until('ONLINE', online);
        await watch.until('OFFLINE', offline);
        await watch.until('ONLINE', online, 100);
      }
      expect(staying.closed).toBeUndefined();
      // The stopped instance cannot report absences that it did not see: its own users were never gone for it.
      expect([...atHere.everTold('OFFLINE')].sort()).toEqual(
        [first, thereIds[0], ...others.filter((userId) => userId !== first)].sort(),
      );
    });
  });

  describe.concurrent('while nats-server is away for 20 s', () => {
    const world = useWorld({ env: metricsEnv });

    it('is updated by the sweep, and right after the return of NATS without reconnects', async () => {
      const { here, there, connections, watches } = await gather(world);
      const before = await openConnection(here, first);
      for (const watch of watches) await watch.until('ONLINE', [first]);
      before.ws.close();
      await world.nats.kill();
      const killedAt = performance.now();

      const [, passing] = [await openConnection(there, second), await openConnection(here, third)];
      connections.get(hereIds[0] as number)?.ws.close();
      connections.get(thereIds[0] as number)?.ws.terminate();
      for (const watch of watches) {
        await watch.until('ONLINE', [second, third]);
        await watch.until('OFFLINE', [first, hereIds[0] as number, thereIds[0] as number]);
      }
      // Its grace ends about when NATS is back.
      await quiet(11_000 - (performance.now() - killedAt));
      passing.ws.close();
      await quiet(20_000 - (performance.now() - killedAt));
      await openConnection(there, fourth);
      await world.nats.restart({ wipe: true });
      for (const watch of watches) {
        await watch.until('ONLINE', [...hereIds.slice(1), ...thereIds.slice(1), second, fourth]);
        await watch.until('OFFLINE', [first, third]);
        expect(watch.feed.isEnded).toBe(false);
      }

      // NATS carries presence again, not only the sweep.
      const watch = new PresenceWatch(await world.client(4, 0), [newcomer]);
      await watch.until('OFFLINE', [newcomer]);
      const countReceived = async () =>
        (await readMetrics(here)).get('fairway_nats_received_total{kind="presence"}') ?? Number.NaN;
      const countBefore = await countReceived();
      await openConnection(there, newcomer);
      await watch.until('ONLINE', [newcomer]);
      await waitFor(async () => (await countReceived()) > countBefore, { what: 'presence over NATS' });
    });
  });

  describe.concurrent('while one instance cannot reach PostgreSQL for 60 s', () => {
    const world = useWorld({ instances: 0 });
    const ways = useWays(world, 1);

    it('shows nobody as OFFLINE at that instance, and none of its users once it is back', async () => {
      const { here, connections, watches } = await gather(world);
      const [atHere, atThere] = watches;
      await openConnection(here, second);
      await atHere.until('ONLINE', [second]);
      await ways[0]?.cut();
      const cutAt = performance.now();
      await openConnection(here, third).catch(() => undefined);
      connections.get(hereIds[0] as number)?.ws.close();

      // The other instance treats it as dead.
      await atThere.until('OFFLINE', [...hereIds, second], 2 * leaseMs);
      await quiet(60_000 - (performance.now() - cutAt));
      expect([...atHere.everTold('OFFLINE')].sort()).toEqual(others);
      await ways[0]?.restore();

      // A new subscription gets the same states.
      const anew = await subscribeAsSoonAsPossible(await world.client(4, 0), hereIds.slice(1));
      await anew.until('ONLINE', hereIds.slice(1));
      expect(anew.everTold('OFFLINE').size).toBe(0);
      for (const watch of watches) await watch.until('ONLINE', [...hereIds.slice(1), ...thereIds, second]);
      // Two sweeps: late events have arrived by then.
      await quiet(2 * sweepMs);
      expect([...atHere.everTold('OFFLINE')].filter((userId) => everybody.includes(userId))).toEqual([hereIds[0]]);
      expect([...atThere.everTold('OFFLINE')].filter((userId) => thereIds.includes(userId))).toEqual([]);
      for (const watch of watches) expect(watch.feed.isEnded).toBe(false);
    });
  });

  describe.concurrent.each([
    // Connections are refused, and the instances reconnect one after the other.
    { seconds: 60, isApart: false, silently: false, laterMs: 3_000 },
    // Traffic stalls silently; one lease expires meanwhile, and the other one does not.
    { seconds: 24, isApart: true, silently: true, laterMs: 0 },
  ])('while nobody can reach PostgreSQL for $seconds s', ({ seconds, isApart, silently, laterMs }) => {
    const world = useWorld({ instances: 0 });
    const ways = useWays(world, 2);

    it('shows nobody as OFFLINE, neither then nor afterwards', async () => {
      const { watches } = await gather(world);
      if (isApart) await renewApart(world);
      await Promise.all(ways.map((way) => way.cut({ silently })));
      await quiet(seconds * 1_000);
      for (const way of ways) {
        await way.restore();
        if (laterMs > 0) await quiet(laterMs);
      }
      // After the patience of the instances, an instance that has not returned would count as dead.
      await quiet(patienceMs + 3_000);
      for (const watch of watches) {
        expect([...watch.everTold('OFFLINE')].sort()).toEqual(others);
        expect(watch.feed.isEnded).toBe(false);
      }
      // Presence still works.
      await openConnection(world.instances[0] as Instance, first);
      for (const watch of watches) await watch.until('ONLINE', [first]);
    });
  });

  describe.concurrent('after a crash of PostgreSQL, which forgets the connections', () => {
    const world = useWorld();

    it('is ONLINE for users who are still connected, and OFFLINE for users who left meanwhile', async () => {
      const { here, there, connections, watches } = await gather(world);
      const ghost = 999;
      const kim = await world.client(4, 0);
      await kim.group(ghost);
      const watch = new PresenceWatch(kim, [ghost]);
      const lost = await world.start();
      await openConnections(lost, [ghost, fourth]);
      await watch.until('ONLINE', [ghost]);
      await watches[0].until('ONLINE', [fourth]);

      await Promise.all([lost.kill(), world.database.query('TRUNCATE chat_connections, chat_instances CASCADE')]);
      const crashedAt = performance.now();
      connections.get(hereIds[0] as number)?.ws.close();
      await openConnection(there, first);
      await openConnection(here, second);
      for (const each of watches) await each.until('ONLINE', [first, second]);
      // By then the presence of everybody has been sent again.
      await quiet(15_000 - (performance.now() - crashedAt));
      const rest = [...hereIds.slice(1), ...thereIds];
      for (const each of watches) await each.until('ONLINE', rest, 100);
      const [row] = await world.database.query<{ users: number }>(
        'SELECT count(DISTINCT user_id)::int AS users FROM chat_connections WHERE user_id = ANY($1)',
        [rest],
      );
      expect(row?.users).toBe(rest.length);

      await watch.until('OFFLINE', [ghost], 2 * leaseMs);
      for (const each of watches) {
        await each.until('OFFLINE', [fourth, hereIds[0] as number], 2 * leaseMs);
        await each.until('ONLINE', rest, 100);
        expect([...each.everTold('OFFLINE')].filter((userId) => rest.includes(userId))).toEqual([]);
      }
    });
  });
});

async function gather(world: World): Promise<Crowd> {
  const [here, there] = world.instances as [Instance, Instance];
  const clients: [TestClient, TestClient] = [await world.client(4, 0), await world.client(5, 1)];
  await clients[0].group(5, ...everybody, ...others, newcomer);
  const sockets = [...(await openConnections(here, hereIds)), ...(await openConnections(there, thereIds))];
  const connections = new Map(everybody.map((userId, place) => [userId, sockets[place] as RawSocket]));
  const watches = clients.map((client) => new PresenceWatch(client, [...everybody, ...others])) as [
    PresenceWatch,
    PresenceWatch,
  ];
  for (const watch of watches) {
    await watch.until('ONLINE', everybody);
    await watch.until('OFFLINE', others);
  }
  return { here, there, connections, watches };
}

/** The first subscription that is not refused. */
async function subscribeAsSoonAsPossible(client: TestClient, userIds: readonly number[]): Promise<PresenceWatch> {
  return waitFor(
    async () => {
      const watch = new PresenceWatch(client, userIds);
      await waitFor(() => watch.feed.events.length > 0 || watch.feed.error !== undefined, {
        what: 'an answer',
        pollMs: 5,
      });
      return watch.feed.error === undefined && watch;
    },
    { what: 'PostgreSQL to be back', pollMs: 5 },
  );
}

/** Two instances; the first `count` of them reach PostgreSQL through proxies that can be cut. */
function useWays(world: World, count: number): readonly TcpProxy[] {
  const ways: TcpProxy[] = [];
  beforeAll(async () => {
    for (let place = 0; place < count; place += 1) ways.push(await startTcpProxy(world.database.url));
    for (let place = 0; place < 2; place += 1) {
      const way = ways[place];
      await world.start(way === undefined ? {} : { DATABASE_URL: way.url });
    }
    // The proxies stop after the instances, whose own stop takes longer without a database.
    return async () => {
      await Promise.all(world.instances.map((instance) => instance.kill()));
      await Promise.all(ways.map((way) => way.stop()));
    };
  });
  return ways;
}

/** Pauses one of two instances so that it renews its lease 8 s after the other; resolves right after that renewal. */
async function renewApart(world: World): Promise<void> {
  /** Waits until the ages of the younger and the older lease, in seconds, pass `isRight`. */
  const untilAged = (what: string, isRight: (younger: number, older: number) => boolean) =>
    waitFor(
      async () => {
        const rows = await world.database.query<{ age: number }>(
          'SELECT extract(epoch FROM clock_timestamp() - renewed_at)::float AS age FROM chat_instances ORDER BY age',
        );
        const [younger, older] = rows.map(({ age }) => age) as [number, number];
        return isRight(younger, older);
      },
      { what, timeoutMs: 60_000, pollMs: 100 },
    );
  const held = world.instances[1] as Instance;
  held.process.kill('SIGSTOP');
  // Its renewal is due by then, and follows at once when the process continues.
  await untilAged('a renewal that is due', (younger, older) => younger > 8 && younger < 9 && older > 12);
  held.process.kill('SIGCONT');
  await untilAged('the renewal', (younger, older) => younger < 1 && older > 7.5);
}
