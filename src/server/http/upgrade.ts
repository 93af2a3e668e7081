import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** Whether the request offers the only upgrade that this server supports. */
export const asksForWebSocket = ({ headers }: IncomingMessage): boolean =>
  headers.upgrade?.toLowerCase() === 'websocket';

export interface Offer {
  readonly socket: Duplex;
  /** The bytes that were read after the head. */
  readonly rest: Buffer;
  /** The response to the previous request on this connection. */
  readonly before: ServerResponse | undefined;
}

/**
 * Serves a request as if it had not offered to upgrade: a server may ignore the offer (RFC 9110, 7.8), and Java's HttpClient
 * makes one with its first request. Node stops parsing at the end of such a head, so the bytes are put back, without the
 * offer, for a new parser. That one does not know the responses that are still to be written, so it starts after them.
 */
export function passOverUpgrade(server: Server, request: IncomingMessage, { socket, rest, before }: Offer): void {
  const lose = () => void socket.destroy();
  const begin = () => {
    socket.off('error', lose);
    if (socket.destroyed) return;
    socket.unshift(Buffer.concat([headWithoutOffer(request), rest]));
    server.emit('connection', socket);
  };
  // No other listener is left, and an error without one would end the process.
  socket.on('error', lose);
  if (before === undefined || before.closed) begin();
  else before.once('close', begin);
}

function headWithoutOffer({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const [name = '', value = ''] = rawHeaders.slice(index, index + 2);
    const kept = withoutOffer(name.toLowerCase(), value);
    if (kept !== '') lines.push(`${name}: ${kept}`);
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

const offers = ['upgrade', 'http2-settings'];

function withoutOffer(name: string, value: string): string {
  if (offers.includes(name)) return '';
  if (name !== 'connection') return value;
  const options = value.split(',').map((option) => option.trim());
  return options.filter((option) => !offers.includes(option.toLowerCase())).join(', ');
}
