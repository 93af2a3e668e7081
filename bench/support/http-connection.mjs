import { connect } from 'node:net';

/**
 * One keep-alive connection with one request at a time, without the cost of a general client. Returns the answer's body as
 * bytes. Opens the connection again if the server closed it while it was idle.
 */
export class HttpConnection {
  #port;
  #head;
  /** @type {Buffer} */
  #rest = Buffer.alloc(0);
  /** @type {import('node:net').Socket | undefined} */
  #socket;
  /** @type {{ request: string, resolve: (body: Buffer) => void, reject: (error: Error) => void } | undefined} */
  #waiting;

  /** @param {{ port: number, path: string, token?: string | undefined }} address */
  constructor({ port, path, token }) {
    this.#port = port;
    this.#head = [
      `POST ${path} HTTP/1.1`,
      `Host: 127.0.0.1:${port}`,
      'Content-Type: application/json',
      'Accept: application/json',
      ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
      'Content-Length: ',
    ].join('\r\n');
  }

  /**
   * @param {string} body
   * @returns {Promise<Buffer>}
   */
  post(body) {
    return new Promise((resolve, reject) => {
      const request = `${this.#head}${Buffer.byteLength(body)}\r\n\r\n${body}`;
      this.#waiting = { request, resolve, reject };
      this.#socket ??= this.#connect();
      this.#socket.write(request);
    });
  }

  #connect() {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    let answered = false;
    socket.on('data', (chunk) => {
      answered = true;
      this.#read(chunk);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#socket = undefined;
      if (this.#waiting === undefined) return;
      const isIdleTimeout = answered && this.#rest.length === 0;
      if (!isIdleTimeout) {
        this.#waiting.reject(new Error('The connection broke'));
        return;
      }
      this.#socket = this.#connect();
      this.#socket.write(this.#waiting.request);
    });
    return socket;
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
