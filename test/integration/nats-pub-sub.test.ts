import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import type { NatsConnection } from '@nats-io/transport-node';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import { createNatsPubSub } from '../../src/pubsub/nats/nats-pub-sub.js';
import type { PubSub } from '../../src/pubsub/nats/pub-sub.js';
import { startNats, type TestNats } from '../support/nats.js';
import { describeWithNats } from '../support/requirements.js';
import { startTcpProxy } from '../support/tcp-proxy.js';
import { waitFor } from '../support/wait-for.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

describeWithNats('the PubSub over NATS JetStream', () => {
  let nats: TestNats;
  const open: PubSub[] = [];
  const connect = (url = nats.url) => {
    const pubsub = createNatsPubSub(
      { ...nats, url, creds: undefined, replicas: 1, replyPrefixes: [] },
      pino({ level: 'silent' }),
    );
    open.push(pubsub);
    return pubsub;
  };
  const connected = async () => {
    const pubsub = connect();
    await waitFor(() => pubsub.isConnected, { what: 'the connection' });
    return pubsub;
  };

  beforeEach(async () => {
    nats = await startNats();
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((pubsub) => pubsub.close()));
    await nats.stop();
  });

  /** Streams are created after the connection: a publish before that is refused. */
  const publish = (pubsub: PubSub, subject: string, text: string, id: string = randomUUID()) =>
    waitFor(() => pubsub.publish(subject, encoder.encode(text), id).then(() => true), { what: 'the ack', pollMs: 50 });

  it('delivers a published message to every listener of the subject, here and on other instances', async () => {
    const [a, b] = [await connected(), await connected()];
    const subject = `chat.room.${randomUUID()}.message`;
    const heard: string[] = [];
    const subscriptions = [a, a, b].map((pubsub, at) =>
      pubsub.subscribe(subject, (body) => heard.push(`${at}: ${decoder.decode(body)}`)),
    );
    await Promise.all(subscriptions.map(({ ready }) => ready));

    await publish(b, subject, '안녕');

    await waitFor(() => heard.length === 3, { what: 'three listeners' });
    expect(heard.sort()).toEqual(['0: 안녕', '1: 안녕', '2: 안녕']);
  });

  it('counts messages and bytes by the kind of their subject, its own included where they are received', async () => {
    const [a, b] = [await connected(), await connected()];
    const [room, other] = [randomUUID(), randomUUID()];
    const heard: string[] = [];
    const subscriptions = [a, a, b].map((pubsub) =>
      pubsub.subscribe(`chat.room.${room}.read`, (body) => heard.push(decoder.decode(body))),
    );
    await Promise.all(subscriptions.map(({ ready }) => ready));

    a.signal(`chat.room.${room}.read`, encoder.encode('안녕'));
    a.signal(`chat.room.${other}.read`, encoder.encode('bye'));
    a.signal('chat.outbox.acked', encoder.encode('1'));

    await waitFor(() => heard.length === 3, { what: 'three listeners' });
    const flow = (messages: number, bytes: number) => ({ messages, bytes });
    expect(Object.fromEntries(a.traffic)).toEqual({
      read: { published: flow(2, 9), received: flow(1, 6) },
      acked: { published: flow(1, 1), received: flow(0, 0) },
    });
    expect(Object.fromEntries(b.traffic)).toEqual({ read: { published: flow(0, 0), received: flow(1, 6) } });
  });

  it('gives up an attempt to connect that is not answered, and makes another', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const proxy = await startTcpProxy(`nats://127.0.0.1:${(silent.address() as AddressInfo).port}`);
    onTestFinished(async () => {
      await proxy.stop();
      silent.close();
    });
    const attempt = once(silent, 'connection');
    const pubsub = connect(proxy.url);
    await attempt;
    proxy.redirect(nats.url);
    await waitFor(() => pubsub.isConnected, { what: 'the connection' });
  });

  it('holds one subscription per subject until its last listener is gone', async () => {
    const pubsub = await connected();
    const subject = `chat.room.${randomUUID()}.message`;
    const [first, second] = [pubsub.subscribe(subject, () => {}), pubsub.subscribe(subject, () => {})];
    const counts = [pubsub.subjectCount];
    first.close();
    first.close();
    counts.push(pubsub.subjectCount);
    second.close();
    counts.push(pubsub.subjectCount);

    expect(counts).toEqual([1, 1, 0]);
  });

  it('refuses to publish while the server is away, and continues when it is back with an empty store', async () => {
    const pubsub = await connected();
    const subject = `chat.room.${randomUUID()}.message`;
    const heard: string[] = [];
    pubsub.subscribe(subject, (body) => heard.push(decoder.decode(body)));
    await publish(pubsub, subject, 'before');
    await nats.kill();
    await waitFor(() => !pubsub.isConnected, { what: 'the loss' });

    await expect(pubsub.publish(subject, encoder.encode('away'), 'x')).rejects.toThrow();
    await nats.restart({ wipe: true });
    await waitFor(() => pubsub.isConnected, { what: 'the return' });
    await publish(pubsub, subject, 'after');

    await waitFor(() => heard.includes('after'), { what: 'the message after the return' });
    expect(heard).not.toContain('away');
  });

  it('starts without a server, and finds it when it comes', async () => {
    await nats.kill();
    const pubsub = connect();
    const heard: string[] = [];
    const subject = `chat.room.${randomUUID()}.message`;
    await pubsub.subscribe(subject, (body) => heard.push(decoder.decode(body))).ready;
    expect(pubsub.isConnected).toBe(false);

    await nats.restart({ wipe: false });
    await waitFor(() => pubsub.isConnected, { what: 'the connection' });
    await publish(pubsub, subject, 'late');

    await waitFor(() => heard.length > 0, { what: 'the message' });
  });

  it('comes back after the server refused its password for a while', async () => {
    const pubsub = await connected();
    await nats.kill();
    const stranger = await startNats({ port: nats.port });
    // Long enough for several refused logins: the client tries twice a second.
    await waitFor(() => stranger.refusals() >= 4, { what: 'refused logins' });
    await stranger.stop();
    await nats.restart({ wipe: false });

    await waitFor(() => pubsub.isConnected, { what: 'the return' });
  });

  it('accepts subscriptions after the client has given up, and before the next connection', async () => {
    const pubsub = connect();
    const connections: NatsConnection[] = [];
    pubsub.onConnection((connection) => connections.push(connection));
    await waitFor(() => pubsub.isConnected, { what: 'the connection' });
    await connections[0]?.close();

    const heard: string[] = [];
    const subject = `chat.room.${randomUUID()}.message`;
    await pubsub.subscribe(subject, (body) => heard.push(decoder.decode(body))).ready;
    await waitFor(() => connections.length === 2, { what: 'another connection' });
    await publish(pubsub, subject, 'late');

    await waitFor(() => heard.length > 0, { what: 'the message' });
  });
});
