import { once } from 'node:events';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { Inspector, inspectorEnv } from '../support/inspector.js';
import type { Instance } from '../support/instance.js';
import { roomEvents } from '../support/operations.js';
import { describeWithNats } from '../support/requirements.js';
import { RawSocket } from '../support/wire.js';
import { useWorld } from '../support/world.js';

/** Twice as much as one message may have. In memory each of its objects is 20 times as large. */
const junk = { text: 'x'.repeat(70_000), list: Array.from({ length: 15_000 }, () => ({})) };
const sockets = 10;
const subscriptions = 10;
/** One piece of junk alone is more than 800 KB. */
const maxBytesEach = 150_000;

describeWithNats('an instance that is sent more than it asked for', () => {
  const world = useWorld({ instances: 1, env: inspectorEnv });
  let instance: Instance;
  let token: string;
  let room: string;
  let inspector: Inspector;

  beforeAll(async () => {
    [instance] = world.instances as [Instance];
    const kim = await world.client(4);
    room = await kim.group(5);
    token = kim.token;
    inspector = await Inspector.attach(instance);
  });
  // An instance does not exit while an inspector is attached.
  afterAll(() => inspector?.detach());

  it('keeps only the user of a connection_init', async () => {
    await expectToKeepLittle(sockets, async () => {
      const socket = await open();
      socket.send({ type: 'connection_init', payload: { authorization: `Bearer ${token}`, junk } });
      await socket.until(({ type }) => type === 'connection_ack', 'the acknowledgement');
    });
  });

  it('keeps only the declared variables of a subscription over WebSocket', async () => {
    const socket = await connect();
    await expectToKeepLittle(subscriptions, async (number) => {
      const operation = { query: roomEvents.toString(), variables: { roomId: room, junk }, extensions: junk };
      socket.send({ type: 'subscribe', id: `${number}`, payload: operation });
      await socket.until(({ id }) => id === `${number}`, 'the first event');
    });
  });

  it('keeps only the declared variables of a subscription over SSE', async () => {
    const begin = async () => {
      const abort = new AbortController();
      onTestFinished(() => abort.abort());
      const headers = {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${token}`,
      };
      const body = JSON.stringify({ query: roomEvents.toString(), variables: { roomId: room, junk } });
      const { body: stream } = await fetch(`${instance.url}/graphql`, {
        method: 'POST',
        headers,
        body,
        signal: abort.signal,
      });
      const { value } = (await stream?.getReader().read()) ?? {};
      expect(String(Buffer.from(value ?? []))).toContain(':');
    };
    await expectToKeepLittle(sockets, begin);
  });

  it('refuses subscriptions that would keep too much, until others are completed', async () => {
    const socket = await connect();
    const subscribe = (number: number) => {
      const query = `subscription S${number}($room: ID!) { roomEvents(roomId: $room) { seq } } ${'#\n'.repeat(900)}`;
      return socket.ask({ query, variables: { room } }, `${number}`);
    };
    const answers = [];
    for (let number = 0; number < 12; number += 1) answers.push(await subscribe(number));
    const refused = answers.filter(({ errors }) => errors !== undefined);
    expect(refused.map(({ errors }) => errors?.[0]?.extensions.code)).toContain('RATE_LIMITED');
    expect(refused.length).toBeLessThan(8);

    for (let number = 0; number < 12; number += 1) socket.send({ type: 'complete', id: `${number}` });
    expect((await subscribe(12)).errors).toBeUndefined();
  });

  it('closes a socket with 4400 whose operation has an id of more than 100 characters', async () => {
    const operation = { query: '{ viewer { id } }' };
    const socket = await connect();
    expect(await socket.ask(operation, 'x'.repeat(100))).toMatchObject({ data: { viewer: { id: '4' } } });
    socket.subscribe('x'.repeat(101), operation);
    expect(await socket.closeCode()).toBe(4400);
    expect(socket.closed?.reason).toContain('100 characters');
  });

  async function expectToKeepLittle(count: number, begin: (number: number) => Promise<void>): Promise<void> {
    const before = await inspector.retainedBytes();
    for (let number = 0; number < count; number += 1) await begin(number);
    expect(((await inspector.retainedBytes()) - before) / count).toBeLessThan(maxBytesEach);
  }

  async function open(): Promise<RawSocket> {
    const socket = new RawSocket(instance);
    onTestFinished(() => socket.ws.terminate());
    if (socket.ws.readyState !== socket.ws.OPEN) await once(socket.ws, 'open');
    return socket;
  }

  async function connect(): Promise<RawSocket> {
    const socket = await RawSocket.connect(instance, token);
    onTestFinished(() => socket.ws.terminate());
    return socket;
  }
});
