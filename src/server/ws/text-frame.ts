const textOpcode = 0x81;

/** Returns a text message as one unmasked frame of a server (RFC 6455, 5.2). The text is `start`, followed by `rest`. */
export function createTextFrame(start: string, rest: string | Buffer = ''): Buffer {
  const restBytes = Buffer.byteLength(rest);
  const frame = beginFrame(start, restBytes, restBytes);
  const at = frame.length - restBytes;
  if (typeof rest === 'string') frame.write(rest, at);
  else frame.set(rest, at);
  return frame;
}

/** Returns such a frame up to the end of `start`; the given number of bytes must follow. */
export const createFrameStart = (start: string, restBytes: number): Buffer => beginFrame(start, restBytes, 0);

/** @param room - the number of bytes to leave free at the end */
function beginFrame(start: string, restBytes: number, room: number): Buffer {
  const startBytes = Buffer.byteLength(start);
  const length = startBytes + restBytes;
  const headerBytes = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(headerBytes + startBytes + room);
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
  return frame;
}
