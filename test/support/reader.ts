import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** An HTTP/1.1 connection that reads only on request. */
export class Reader {
  readonly #socket: Socket;
  #pieces: Buffer[] = [];
  #bytes = 0;
  /** Whether the connection is closed, as far as this side has read. */
  isClosed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.once('close', () => {
      this.isClosed = true;
    });
    socket.on('error', () => undefined);
  }

  static async connect({ port }: { readonly port: number }): Promise<Reader> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new Reader(socket);
  }

  /** The number of bytes read. */
  get receivedBytes(): number {
    return this.#bytes;
  }

  /** The number of answers that have begun. */
  get answers(): number {
    return Buffer.concat(this.#pieces).toString('latin1').split('HTTP/1.1 ').length - 1;
  }

  /** Sends a request for each operation, all in one write. */
  ask(token: string, ...operations: readonly unknown[]): void {
    const requests = operations.map((operation) => {
      const body = JSON.stringify(operation);
      const head = [
        'POST /graphql HTTP/1.1',
        'Host: localhost',
        'Content-Type: application/json',
        `Authorization: Bearer ${token}`,
        `Content-Length: ${Buffer.byteLength(body)}`,
      ];
      return `${head.join('\r\n')}\r\n\r\n${body}`;
    });
    this.#socket.write(requests.join(''));
  }

  write(text: string): void {
    this.#socket.write(text);
  }

  /** Requests an upgrade to WebSocket; from then on `read` reads frames. */
  upgrade(): void {
    const head = [
      'GET /graphql HTTP/1.1',
      'Host: localhost',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Protocol: graphql-transport-ws',
    ];
    this.#socket.write(`${head.join('\r\n')}\r\n\r\n`);
  }

  /** Sends a short message as a masked frame; the mask of zeros changes nothing. */
  sendFrame(message: unknown): void {
    const text = Buffer.from(JSON.stringify(message));
    const header = Buffer.from([0x81, 0x80 | 126, text.length >> 8, text.length & 255, 0, 0, 0, 0]);
    this.#socket.write(Buffer.concat([header, text]));
  }

  /** Reads at most 64 KB every `everyMs`, to the end, or until a piece contains `until`. */
  async read({ everyMs = 0, until = '' } = {}): Promise<void> {
    const isThere = () => until !== '' && this.#pieces.at(-1)?.includes(until) === true;
    while (!this.isClosed && !isThere()) await this.#take(everyMs);
  }

  /** Reads one answer in the same way, and removes it. Its head must have the length of its body. */
  async answer({ everyMs = 0 } = {}): Promise<{ readonly status: number; readonly body: Buffer }> {
    let length = lengthOf(Buffer.concat(this.#pieces));
    while (length === undefined || this.#bytes < length) {
      if (this.isClosed) throw new Error(`The connection ended after ${this.#bytes} bytes, before the answer did`);
      await this.#take(everyMs);
      length ??= lengthOf(Buffer.concat(this.#pieces));
    }
    const bytes = Buffer.concat(this.#pieces);
    this.#pieces = [bytes.subarray(length)];
    this.#bytes -= length;
    const status = Number(bytes.toString('latin1', 9, 12));
    return { status, body: bytes.subarray(bytes.indexOf(headEnd) + headEnd.length, length) };
  }

  close(): void {
    this.#socket.destroy();
  }

  async #take(everyMs: number): Promise<void> {
    const piece = this.#socket.read() as Buffer | null;
    if (piece !== null) this.#pieces.push(piece);
    this.#bytes += piece?.length ?? 0;
    if (everyMs > 0 || piece === null) await delay(Math.max(everyMs, 1));
  }
}

const headEnd = '\r\n\r\n';

/** Returns the length of the whole answer once its head has arrived. */
function lengthOf(start: Buffer): number | undefined {
  const end = start.indexOf(headEnd);
  if (end < 0) return undefined;
  const length = /content-length: (\d+)/i.exec(start.toString('latin1', 0, end))?.[1];
  return end + headEnd.length + Number(length);
}
