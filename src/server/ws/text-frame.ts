const textOpcode = 0x81;

/** Returns a text message as one unmasked frame of a server (RFC 6455, 5.2). The text is `start`, followed by `rest`. */
export function createTextFrame(start: string, rest: string | Buffer = ''): Buffer {
  const startBytes = Buffer.byteLength(start);
  const length = startBytes + Buffer.byteLength(rest);
  const headerBytes = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(headerBytes + length);
  frame[0] = textOpcode;
  if (headerBytes === 2) frame[1] = length;
  else if (headerBytes === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
  frame.write(start, headerBytes);
  if (typeof rest === 'string') frame.write(rest, headerBytes + startBytes);
  else frame.set(rest, headerBytes + startBytes);
  return frame;
}
