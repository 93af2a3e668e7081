import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { every, type Loop } from '../../domain/every.js';
import { peerOf, readUnacknowledged } from './unacknowledged.js';

/** The interval at which all streams are checked. */
const lookMs = 4_000;
/** A peer has vanished if bytes wait for it and its system has acknowledged nothing in more checks than this in a row. */
const maxSilentLooks = 5;
/** Streams that began together end at different times, within this part of their life. */
const spread = 0.25;

interface Life {
  readonly socket: Socket;
  readonly peer: string;
  readonly end: NodeJS.Timeout;
  /** How many bytes the peer had acknowledged when that number last increased. */
  acknowledged: number;
  /** The number of checks since then. */
  silentLooks: number;
}

/**
 * Ends HTTP streams whose peer has vanished. Such a peer sends nothing, and bytes that this system takes for it prove
 * nothing. Therefore two things are checked: how much of the heartbeats and results the peer's system has acknowledged, if
 * this system shows that; and a stream's age, for peers behind a proxy that still acknowledges. Both end the stream without
 * completing it, after which clients connect again.
 */
export class StreamLives {
  readonly #maxLifeMs: number;
  readonly #lives = new Map<ServerResponse, Life>();
  #looking: Loop | undefined;

  constructor(maxLifeMs: number) {
    this.#maxLifeMs = maxLifeMs;
  }

  /** Watches the stream from now on, until it closes. */
  begin(response: ServerResponse): void {
    const { socket } = response;
    if (socket === null || response.destroyed) return;
    const lifeMs = this.#maxLifeMs * (1 - spread * Math.random());
    const end = setTimeout(() => response.destroy(), lifeMs);
    this.#lives.set(response, { socket, peer: peerOf(socket), end, acknowledged: 0, silentLooks: 0 });
    this.#looking ??= every(lookMs, () => this.#look());
    response.once('close', () => this.#forget(response));
  }

  #forget(response: ServerResponse): void {
    clearTimeout(this.#lives.get(response)?.end);
    this.#lives.delete(response);
    if (this.#lives.size > 0) return;
    void this.#looking?.stop();
    this.#looking = undefined;
  }

  async #look(): Promise<void> {
    const [life] = this.#lives.values();
    const waiting = await readUnacknowledged(life?.socket.localPort ?? 0);
    if (waiting === undefined) return;
    for (const [response, life] of this.#lives) {
      const bytes = waiting.get(life.peer) ?? 0;
      const acknowledged = life.socket.bytesWritten - life.socket.writableLength - bytes;
      if (bytes === 0 || acknowledged > life.acknowledged) Object.assign(life, { acknowledged, silentLooks: 0 });
      else if (++life.silentLooks > maxSilentLooks) response.destroy();
    }
  }
}
