import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';

const opcodes = { text: 1, close: 8, ping: 9, pong: 10 };
/** @type {Buffer} */
const nothing = Buffer.alloc(0);
/** Shared by all sockets: each read is processed before the next begins. */
const readBuffer = Buffer.allocUnsafe(256 * 1024);

/**
 * A WebSocket client that skips over the frames without decoding them, so that a load process can receive more than the
 * fastest server sends. It offers no compression, answers pings, and requires text frames that are not fragmented.
 */
export class WireSocket {
  /** @type {(bytes: Buffer, start: number, end: number) => void} */
  onText = () => undefined;
  /** @type {(reason: string) => void} */
  onClose = () => undefined;
  #rest = nothing;
  #isOpen = false;
  /** @type {import('node:net').Socket} */
  #socket;

  /** @param {{ port: number, path: string, protocol?: string | undefined }} address */
  constructor({ port, path, protocol }) {
    /** @type {(() => void) | undefined} */
    let opened;
    /** @type {Promise<void>} */
    this.ready = new Promise((resolve, reject) => {
      opened = resolve;
      this.#onRefused = reject;
    });
    this.#onOpen = () => opened?.();
    this.#socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (count, bytes) => {
          this.#read(/** @type {Buffer} */ (bytes), count);
          return true;
        },
      },
    });
    this.#socket.on('error', (error) => this.#end(error.message));
    this.#socket.on('close', () => this.#end('The connection ended'));
    const lines = [
      `GET ${path} HTTP/1.1`,
      `Host: 127.0.0.1:${port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
      ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
    ];
    this.#socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  }

  /** @type {() => void} */
  #onOpen;
  /** @type {(error: Error) => void} */
  #onRefused = () => undefined;

  /** @param {string} text */
  send(text) {
    this.#write(opcodes.text, Buffer.from(text));
  }

  close() {
    this.onClose = () => undefined;
    this.#socket.destroy();
  }

  /** @param {Buffer} bytes @param {number} count */
  #read(bytes, count) {
    let chunk = bytes;
    let end = count;
    if (this.#rest !== nothing) {
      chunk = Buffer.concat([this.#rest, bytes.subarray(0, count)]);
      end = chunk.length;
    }
    let at = this.#isOpen ? 0 : this.#readGreeting(chunk.subarray(0, end));
    if (this.#isOpen) at = this.#readFrames(chunk, at, end);
    this.#rest = at === end ? nothing : Buffer.from(chunk.subarray(at, end));
  }

  /** @param {Buffer} chunk */
  #readGreeting(chunk) {
    const end = chunk.indexOf('\r\n\r\n');
    if (end === -1) return 0;
    const greeting = chunk.toString('latin1', 0, end);
    if (!greeting.startsWith('HTTP/1.1 101')) {
      this.#end(greeting);
      return chunk.length;
    }
    this.#isOpen = true;
    this.#onOpen();
    return end + 4;
  }

  /**
   * Returns the position of the first incomplete frame.
   * @param {Buffer} chunk
   * @param {number} at
   * @param {number} end
   */
  #readFrames(chunk, at, end) {
    for (;;) {
      if (end - at < 2) return at;
      const first = /** @type {number} */ (chunk[at]);
      let length = /** @type {number} */ (chunk[at + 1]);
      let start = at + 2;
      if (length === 126) {
        if (end - at < 4) return at;
        length = chunk.readUInt16BE(start);
        start = at + 4;
      } else if (length === 127) {
        if (end - at < 10) return at;
        length = Number(chunk.readBigUInt64BE(start));
        start = at + 10;
      }
      if (end - start < length) return at;
      at = start + length;
      if (first === 0x81) this.onText(chunk, start, at);
      else this.#readControl(first, chunk.subarray(start, at));
    }
  }

  /** @param {number} first @param {Buffer} payload */
  #readControl(first, payload) {
    if (first === (0x80 | opcodes.ping)) this.#write(opcodes.pong, payload);
    else if (first === (0x80 | opcodes.close)) {
      const code = payload.length >= 2 ? payload.readUInt16BE(0) : 'no code';
      this.#end(`Closed with ${code} ${payload.subarray(2)}`);
    } else if (first !== (0x80 | opcodes.pong)) this.#end(`A frame that begins with ${first.toString(16)}`);
  }

  /** @param {number} opcode @param {Buffer} payload */
  #write(opcode, payload) {
    const { length } = payload;
    const long = length > 125;
    const frame = Buffer.alloc((long ? 8 : 6) + length);
    frame[0] = 0x80 | opcode;
    frame[1] = 0x80 | (long ? 126 : length);
    if (long) frame.writeUInt16BE(length, 2);
    // Any masking key is valid: zeros leave the bytes as they are.
    payload.copy(frame, long ? 8 : 6);
    this.#socket.write(frame);
  }

  /** @param {string} reason */
  #end(reason) {
    this.#onRefused(new Error(reason));
    const { onClose } = this;
    this.close();
    onClose(reason);
  }
}
