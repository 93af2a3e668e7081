import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import type { Instance } from '../support/instance.js';
import { inboxEvents } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { RawSocket } from '../support/wire.js';
import { useWorld } from '../support/world.js';

const maxUninitialised = 1_000;
/** Of the times in /proc on Linux. */
const ticksPerSecond = 100;

describeWithNats('a flood over a WebSocket', () => {
  const world = useWorld({ instances: 1 });
  let instance: Instance;
  let token: string;

  beforeAll(async () => {
    [instance] = world.instances as [Instance];
    token = (await world.client(4)).token;
  });

  const floods: Record<string, (socket: RawSocket) => void> = {
    'pings of the protocol': (socket) => socket.send({ type: 'ping' }),
    'pongs of the protocol': (socket) => socket.send({ type: 'pong' }),
    'completions of nothing': (socket) => socket.send({ type: 'complete', id: 'x' }),
    'WebSocket pings': (socket) => socket.ws.ping(),
    'WebSocket pongs': (socket) => socket.ws.pong(),
  };

  it.each(Object.entries(floods))('of %s closes the socket, before and after authentication', async (what, send) => {
    const flood = async (socket: RawSocket) => {
      for (let count = 0; count < 50; count += 1) send(socket);
      expect(await isAnswered(socket)).toBe(true);
      for (let count = 0; count < 2_000; count += 1) send(socket);
      // ws cuts a peer that reads its pongs more slowly than it requests them.
      expect(what === 'WebSocket pings' ? [1006, 4400] : [4400]).toContain(await socket.closeCode());
      // The server does not read the whole flood.
      expect(socket.messages.length).toBeLessThan(1_000);
    };
    await Promise.all([flood(await open()), flood(await connect())]);
  });

  it('of fragments closes the socket with 1008', async () => {
    const socket = await open();
    for (let count = 0; count < 1_100; count += 1) socket.ws.send('x', { fin: false });
    expect(await socket.closeCode()).toBe(1008);
  });

  it('is not a client that completes everything that it starts', async () => {
    const socket = await connect();
    for (let round = 0; round < 5; round += 1) {
      for (let number = 0; number < 50; number += 1) {
        socket.subscribe(`${round}.${number}`, { query: inboxEvents.toString() });
      }
      for (let number = 0; number < 50; number += 1) socket.send({ type: 'complete', id: `${round}.${number}` });
    }
    expect(await isAnswered(socket)).toBe(true);
  });

  it('of new documents before authentication costs no more than one of known documents', async () => {
    const variables = { y: Array.from({ length: 3_250 }, () => ({})) };
    /** The CPU time of the server for one frame on each of 300 sockets, in seconds. */
    const flood = async (query: () => string) => {
      const sockets: RawSocket[] = [];
      for (let count = 0; count < 300; count += 50) {
        sockets.push(...(await Promise.all(Array.from({ length: 50 }, open))));
      }
      const before = cpuSecondsOf(instance.pid);
      for (const socket of sockets) socket.subscribe('1', { query: query(), variables });
      for (const socket of sockets) expect(await socket.closeCode()).toBe(4401);
      return cpuSecondsOf(instance.pid) - before;
    };
    const known = await flood(() => '{ viewer { id } }');
    const unknown = await flood(() => `{ viewer { id } } # ${randomUUID()}`);
    expect(unknown).toBeLessThan(3 * known + 0.5);
  });

  it('of silent connections closes the oldest of them, and no other', async () => {
    const silent: RawSocket[] = [];
    for (let count = 0; count < maxUninitialised; count += 50) {
      silent.push(...(await Promise.all(Array.from({ length: 50 }, open))));
    }
    const [first, second] = silent as [RawSocket, RawSocket];
    expect(first.closed).toBeUndefined();
    const late = await connect();
    expect(await first.closeCode()).toBe(4408);
    expect(await isAnswered(late)).toBe(true);
    expect(await isAnswered(second)).toBe(true);
  });

  /** Whether the socket still works. Initialises it first if nothing has done so yet. */
  async function isAnswered(socket: RawSocket): Promise<boolean> {
    const isNew = !socket.messages.some(({ type }) => type === 'connection_ack');
    if (isNew) await socket.init({ authorization: `Bearer ${token}` });
    if (isNew) await socket.until(({ type }) => type === 'connection_ack', 'the acknowledgement');
    const { data } = await socket.ask({ query: '{ viewer { id } }' });
    return data?.viewer !== undefined;
  }

  async function open(): Promise<RawSocket> {
    const socket = new RawSocket(instance);
    onTestFinished(() => socket.ws.terminate());
    await socket.opened();
    return socket;
  }

  async function connect(): Promise<RawSocket> {
    const socket = await RawSocket.connect(instance, token);
    onTestFinished(() => socket.ws.terminate());
    return socket;
  }
});

/** The CPU time of a process so far, in all its threads. */
function cpuSecondsOf(pid: number): number {
  const [, fields = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const [user, system] = fields.split(' ').slice(11, 13);
  return (Number(user) + Number(system)) / ticksPerSecond;
}
