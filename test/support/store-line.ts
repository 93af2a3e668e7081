import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'graphql-ws';
import { onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { createResumingSocket, type FreshToken } from '../../clients/resume.js';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js';
import type { World } from './world.js';

/** The text of an operation in `clients/operations`. */
export const readOperation = (name: string): string =>
  readFileSync(join(import.meta.dirname, `../../clients/operations/${name}.graphql`), 'utf8');

/** A message as a view shows it. */
export interface Shown {
  readonly id: string;
  readonly seq: number;
  readonly content: string | null;
}

/** The way of a library to the server, which a test can cut. */
export interface Line {
  /** The address of `/graphql`. */
  readonly url: string;
  readonly socket: Client;
  readonly proxy: TcpProxy;
}

/** Opens a line that ends with the test. */
export async function openLine(serverUrl: string, freshToken: FreshToken): Promise<Line> {
  const proxy = await startTcpProxy(serverUrl);
  const url = new URL('/graphql', proxy.url).href;
  const socket = createResumingSocket(url, freshToken, {
    webSocketImpl: WebSocket,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 20)),
  });
  onTestFinished(async () => {
    await socket.dispose();
    await proxy.stop();
  });
  return { url, socket, proxy };
}

/** Takes the newest message out of the log, as the restore of a backup that was made before it. */
export async function loseNewest({ database }: Pick<World, 'database'>, roomId: string): Promise<void> {
  await database.query(`
    DELETE FROM chat_messages m USING chat_rooms r WHERE r.id = '${roomId}' AND m.room_id = r.id AND m.seq = r.seq`);
  await database.query(`UPDATE chat_rooms SET seq = seq - 1 WHERE id = '${roomId}'`);
}

/** The tokens of an app that keeps each until the server refuses it. */
export interface Tokens {
  current: string;
  /** Those that the server has refused. */
  readonly refused: string[];
  readonly freshToken: FreshToken;
}

/** Begins with one token; a refusal of the current one makes `next` the current one. */
export function createTokens(first: string, next: string): Tokens {
  const tokens = {
    current: first,
    refused: [] as string[],
    freshToken: async (bad?: string) => {
      if (bad !== undefined) tokens.refused.push(bad);
      if (bad === tokens.current) tokens.current = next;
      return tokens.current;
    },
  };
  return tokens;
}
