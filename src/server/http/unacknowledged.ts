import { readFile } from 'node:fs/promises';
import { isIPv6, type Socket } from 'node:net';

const tables = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];

/**
 * Returns the connections to a port of this machine whose peer's system has not acknowledged all bytes, with the number of
 * these bytes, by `peerOf`. Node has neither TCP_INFO nor TCP_USER_TIMEOUT. Undefined except on Linux, which has tables for
 * this.
 */
export async function readUnacknowledged(localPort: number): Promise<ReadonlyMap<string, number> | undefined> {
  const texts = await Promise.all(tables.map((table) => readFile(table, 'latin1').catch(() => undefined)));
  const found = texts.flatMap((text) => (text === undefined ? [] : parseTcpTable(text, localPort)));
  return texts.every((text) => text === undefined) ? undefined : new Map(found);
}

/**
 * Parses lines such as ` 0: 0100007F:0FA0 0200007F:C350 01 0000000A:00000000 …` (local and remote address, state, bytes to be
 * acknowledged and to be read). Returns those of the port with unacknowledged bytes.
 */
export function parseTcpTable(text: string, localPort: number): [peer: string, bytes: number][] {
  const port = localPort.toString(16).padStart(4, '0').toUpperCase();
  const line = new RegExp(
    `^ *\\d+: [\\dA-F]+:${port} ([\\dA-F]+:[\\dA-F]{4}) [\\dA-F]{2} (?!0{8})([\\dA-F]{8}):`,
    'gm',
  );
  return Array.from(text.matchAll(line), ([, peer = '', bytes = '']) => [peer, Number.parseInt(bytes, 16)]);
}

/** The peer of a connection in the format of the tables: `0200007F:C350`. */
export const peerOf = ({ remoteAddress = '', remotePort = 0 }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string =>
  `${toWords(toBytes(remoteAddress))}:${remotePort.toString(16).padStart(4, '0').toUpperCase()}`;

/** Prints words of 32 bits in the machine's byte order, which is little-endian on all Linux platforms of Node except s390x. */
function toWords(bytes: readonly number[]): string {
  const words: string[] = [];
  for (let at = 0; at < bytes.length; at += 4) {
    const word = bytes.slice(at, at + 4).reverse();
    words.push(...word.map((byte) => byte.toString(16).padStart(2, '0')));
  }
  return words.join('').toUpperCase();
}

function toBytes(address: string): number[] {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return [...zeros(10), 255, 255, ...toBytes(mapped)];
  if (!isIPv6(address)) return address.split('.').map(Number);
  const [before = [], after = []] = (address.split('%')[0] ?? '').split('::').map(toGroups);
  return [...before, ...zeros(8 - before.length - after.length), ...after].flatMap((group) => [
    group >> 8,
    group & 255,
  ]);
}

const zeros = (count: number): number[] => new Array<number>(count).fill(0);
const toGroups = (part: string): number[] =>
  part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
