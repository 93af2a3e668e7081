import { connect } from 'node:net';

/**
 * One keep-alive connection, one request at a time, without the cost of a general client. The answer's body is handed
 * over as bytes.
 */
export class HttpConnection {
  #socket;
  #head;
  #rest = Buffer.alloc(0);
  /** @type {{ resolve: (body: Buffer) => void, reject: (error: Error) => void } | undefined} */
  #waiting;

  /** @param {{ port: number, path: string, token?: string | undefined }} address */
  constructor({ port, path, token }) {
    this.#head = [
      `POST ${path} HTTP/1.1`,
      `Host: 127.0.0.1:${port}`,
      'Content-Type: application/json',
      'Accept: application/json',
      ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
      'Content-Length: ',
    ].join('\r\n');
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (chunk) => this.#read(chunk));
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => this.#fail(new Error('The connection ended')));
  }

  /**
   * @param {string} body
   * @returns {Promise<Buffer>}
   */
  post(body) {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(`${this.#head}${Buffer.byteLength(body)}\r\n\r\n${body}`);
    });
  }

  close() {
    this.#waiting = undefined;
    this.#socket.destroy();
  }

  /** @param {Buffer} chunk */
  #read(chunk) {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const headEnd = this.#rest.indexOf('\r\n\r\n');
    if (headEnd === -1) return;
    const head = this.#rest.toString('latin1', 0, headEnd);
    const length = /content-length: (\d+)/i.exec(head)?.[1];
    const start = headEnd + 4;
    const body = length === undefined ? readChunks(this.#rest, start) : readLength(this.#rest, start, Number(length));
    if (body === undefined) return;
    this.#rest = Buffer.alloc(0);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (head.startsWith('HTTP/1.1 200')) waiting?.resolve(body);
    else waiting?.reject(new Error(`${head}\n\n${body}`));
  }

  /** @param {Error} error */
  #fail(error) {
    this.#waiting?.reject(error);
    this.close();
  }
}

/** @param {Buffer} bytes @param {number} start @param {number} length */
const readLength = (bytes, start, length) =>
  bytes.length - start < length ? undefined : bytes.subarray(start, start + length);

/** @param {Buffer} bytes @param {number} start */
function readChunks(bytes, start) {
  const parts = [];
  for (let at = start; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd === -1) return undefined;
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    if (bytes.length < lineEnd + 2 + size + 2) return undefined;
    if (size === 0) return Buffer.concat(parts);
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
}
