import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { type Consumer, createConsumer } from './consumer.js';
import { asFields, asUuid } from './fields.js';
import type { NatsPubSub } from './nats-pub-sub.js';
import { fileWorkStream } from './streams.js';
import { deadLetterSubject, fileWorkSubject } from './subjects.js';

/** Far more than are worked on at the same time: users take turns, and one who has many must not keep others in the stream. */
const atOnce = 64;
/** Longer than the slowest picture takes, and so many in front of it. */
const ackWaitMs = 120_000;
const encoder = new TextEncoder();

/** Brings a file with work to do to one of the instances. The stream may forget it: a sweep finds what is due. */
export const addFileWork = (pubsub: NatsPubSub, id: string): void => {
  const body = encoder.encode(JSON.stringify({ id }));
  pubsub.publish(fileWorkSubject, body, `${id}:${randomUUID()}`).catch(() => undefined);
};

/** Takes files from the queue, many at a time: `work` lets them wait. It may be called twice for the same file. */
export const takeFileWork = (pubsub: NatsPubSub, work: (id: string) => Promise<void>, log: Logger): Consumer =>
  createConsumer(
    pubsub,
    {
      stream: fileWorkStream,
      subject: fileWorkSubject,
      deadLetterSubject: deadLetterSubject('file'),
      atOnce,
      ackWaitMs,
    },
    async ({ payload }) => work(asUuid(asFields<'id'>(payload).id)),
    log,
  );
