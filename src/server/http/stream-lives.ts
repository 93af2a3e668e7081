import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { every, type Loop } from '../../domain/every.js';
import { peerOf, readUnacknowledged } from './unacknowledged.js';

/** How often all streams are looked at. */
const lookMs = 4_000;
/** A peer whose system has acknowledged nothing of what waits for it at so many looks in a row has vanished. */
const maxSilentLooks = 5;
/** Streams that were opened together end this far apart, as a part of their life. */
const spread = 0.25;

interface Life {
  readonly socket: Socket;
  readonly peer: string;
  readonly end: NodeJS.Timeout;
  /** How much the peer had acknowledged when that last grew, in bytes. */
  acknowledged: number;
  /** Looks since then. */
  silentLooks: number;
}

/**
 * Ends HTTP streams whose peer has vanished. Such a peer says nothing, and that this system takes bytes for it proves
 * nothing, so two things are looked at: what the peer's system has acknowledged of heartbeats and results, where this
 * system shows it; and a stream's age, for peers behind a proxy that goes on acknowledging. Either way the stream breaks
 * off without being completed, which clients take as a reason to come back.
 */
export class StreamLives {
  readonly #maxLifeMs: number;
  readonly #lives = new Map<ServerResponse, Life>();
  #looking: Loop | undefined;

  constructor(maxLifeMs: number) {
    this.#maxLifeMs = maxLifeMs;
  }

  /** From here on until it closes. */
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
