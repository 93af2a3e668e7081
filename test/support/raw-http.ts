import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { waitFor } from './wait-for.js';

/** One raw HTTP/1.1 answer, with its chunks joined. */
export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** A raw HTTP/1.1 connection, for requests that no client library sends. */
export class RawHttp {
  readonly #socket: Socket;
  #received = '';

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8').on('data', (text: string) => {
      this.#received += text;
    });
    socket.on('error', () => undefined);
  }

  static async connect({ port }: { readonly port: number }): Promise<RawHttp> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new RawHttp(socket);
  }

  get received(): string {
    return this.#received;
  }

  get isClosed(): boolean {
    return this.#socket.closed;
  }

  write(text: string | Buffer): void {
    this.#socket.write(text);
  }

  /** Resolves with the next answer once it is complete. */
  async answer(): Promise<RawAnswer> {
    const isWhole = () => {
      const end = this.#received.indexOf('\r\n\r\n');
      if (end < 0) return undefined;
      const head = this.#received.slice(0, end);
      const rest = Buffer.from(this.#received.slice(end + 4));
      const length = /content-length: (\d+)/i.exec(head)?.[1];
      const found = /transfer-encoding: chunked/i.test(head) ? joinChunks(rest) : cut(rest, Number(length ?? 0));
      if (found === undefined) return undefined;
      this.#received = found.rest.toString();
      return { status: Number(head.split(' ')[1]), head, body: found.body.toString() };
    };
    return waitFor(isWhole, { what: `a whole answer, not ${JSON.stringify(this.#received.slice(0, 300))}` });
  }

  close(): void {
    this.#socket.destroy();
  }
}

interface Found {
  readonly body: Buffer;
  readonly rest: Buffer;
}

const cut = (bytes: Buffer, length: number): Found | undefined =>
  bytes.length < length ? undefined : { body: bytes.subarray(0, length), rest: bytes.subarray(length) };

/** Returns undefined until the last chunk has arrived. */
function joinChunks(bytes: Buffer): Found | undefined {
  const chunks: Buffer[] = [];
  let rest = bytes;
  for (;;) {
    const end = rest.indexOf('\r\n');
    if (end < 0) return undefined;
    const length = Number.parseInt(rest.subarray(0, end).toString(), 16);
    const found = cut(rest.subarray(end + 2), length + 2);
    if (found === undefined) return undefined;
    rest = found.rest;
    if (length === 0) return { body: Buffer.concat(chunks), rest };
    chunks.push(found.body.subarray(0, length));
  }
}
