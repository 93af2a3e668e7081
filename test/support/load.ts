import { setTimeout as delay } from 'node:timers/promises';
import type { TestClient } from './client.js';
import { deleteMessage, editMessage } from './operations.js';
import type { Random } from './random.js';
import type { World } from './world.js';

/** A message whose send was answered; times by `performance.now()`. */
export interface Sent {
  readonly id: string;
  readonly roomId: string;
  readonly seq: number;
  readonly instance: number;
  readonly startedAt: number;
  readonly answeredAt: number;
}

/** An answered edit or deletion of a message. */
export interface Change {
  readonly id: string;
  readonly roomId: string;
}

export interface Load {
  readonly sent: readonly Sent[];
  readonly changes: readonly Change[];
}

/** 8 writers on 2 instances and the 5 rooms that they write to. Users 4 and 5 are in all of them. */
export interface Crowd {
  readonly roomIds: readonly string[];
  readonly writers: readonly Writer[];
}

interface Writer {
  readonly client: TestClient;
  readonly instance: number;
  readonly roomIds: readonly string[];
}

interface LoadOptions {
  readonly messages: number;
  /** The average pause between two messages of one writer. */
  readonly pauseMs: number;
  /** Edits and deletions of recent messages for each message, at most 1. */
  readonly changeRate?: number;
  readonly random: Random;
}

const writerIds = [4, 5, 6, 7, 8, 9, 10, 11];

/**
 * Four GROUP rooms to which all write, and a DIRECT room, which has another kind of subject. Only one writer writes to it, so
 * the other instance sends nothing there that could reveal a missed message.
 */
export async function gatherCrowd(world: World): Promise<Crowd> {
  const clients = await Promise.all(writerIds.map((id, index) => world.client(id, index % 2)));
  const [first] = clients as [TestClient, ...TestClient[]];
  const groups = await Promise.all([1, 2, 3, 4].map(() => first.group(...writerIds.slice(1))));
  const direct = await first.direct(5);
  const roomIds = [...groups, direct];
  const writers = clients.map((client, index) => ({
    client,
    instance: index % 2,
    roomIds: index === 0 ? roomIds : groups,
  }));
  return { roomIds, writers };
}

/** Resolves with all writes once the last one is answered; rejects if one fails. */
export async function sendLoad({ writers }: Crowd, options: LoadOptions): Promise<Load> {
  const share = options.messages / writers.length;
  const loads = await Promise.all(
    writers.map((writer) => write(writer, share, { ...options, random: options.random.fork() })),
  );
  return { sent: loads.flatMap(({ sent }) => sent), changes: loads.flatMap(({ changes }) => changes) };
}

async function write({ client, instance, roomIds }: Writer, count: number, options: LoadOptions): Promise<Load> {
  const { pauseMs, changeRate = 0, random } = options;
  const sent: Sent[] = [];
  const changes: Change[] = [];
  const deleted = new Set<string>();
  for (let number = 1; number <= count; number += 1) {
    const roomId = random.pick(roomIds);
    const startedAt = performance.now();
    const { message } = await client.send(roomId, `${number} from ${client.userId}`);
    sent.push({ id: message.id, roomId, seq: message.seq, instance, startedAt, answeredAt: performance.now() });

    const target = random.pick(sent.slice(-20));
    if (random.next() < changeRate && !deleted.has(target.id)) {
      const isDeletion = random.next() < 0.3;
      if (isDeletion) await client.http(deleteMessage, { input: { messageId: target.id } });
      else await client.http(editMessage, { input: { messageId: target.id, content: `edited at ${number}` } });
      if (isDeletion) deleted.add(target.id);
      changes.push({ id: target.id, roomId: target.roomId });
    }
    await delay(random.between(0, 2 * pauseMs));
  }
  return { sent, changes };
}
