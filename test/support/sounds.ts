/** A sound of layer III: 128 kbit/s, 44,100 Hz, 417 bytes a frame. */
export function mp3({
  frames,
  tag,
  count,
}: {
  readonly frames: number;
  /** Of ID3, in front. */
  readonly tag?: Buffer;
  /** How many frames the first one says that there are. */
  readonly count?: { readonly name: 'Xing' | 'VBRI'; readonly frames: number };
}): Buffer {
  const bytes = Buffer.alloc(417 * frames);
  for (let at = 0; at < bytes.length; at += 417) bytes.set([0xff, 0xfb, 0x90, 0x64], at);
  if (count !== undefined) {
    bytes.write(count.name, 36, 'latin1');
    bytes.writeUInt32BE(1, 40);
    bytes.writeUInt32BE(count.frames, count.name === 'Xing' ? 44 : 50);
  }
  if (tag === undefined) return bytes;
  const size = [21, 14, 7, 0].map((bits) => (tag.length >> bits) & 0x7f);
  return Buffer.concat([Buffer.from('ID3'), Buffer.from([4, 0, 0, ...size]), tag, bytes]);
}

const chunk = (name: string, body: Buffer, said = body.length): Buffer => {
  const head = Buffer.from(`${name}\0\0\0\0`, 'latin1');
  head.writeUInt32LE(said, 4);
  return Buffer.concat([head, body, Buffer.alloc(body.length % 2)]);
};

/** `said`: the length of its samples as its header has it. */
export function wav({
  seconds,
  rate = 8_000,
  list,
  said,
}: {
  readonly seconds: number;
  readonly rate?: number;
  readonly list?: Buffer;
  readonly said?: number;
}): Buffer {
  const format = Buffer.alloc(16);
  format.writeUInt16LE(1, 0);
  format.writeUInt16LE(1, 2);
  format.writeUInt32LE(rate, 4);
  format.writeUInt32LE(2 * rate, 8);
  format.writeUInt16LE(2, 12);
  format.writeUInt16LE(16, 14);
  const lists = list === undefined ? [] : [chunk('LIST', list)];
  return chunk(
    'RIFF',
    Buffer.concat([
      Buffer.from('WAVE'),
      chunk('fmt ', format),
      ...lists,
      chunk('data', Buffer.alloc(16_000 * seconds), said),
    ]),
  );
}

/** Two pages, the last of which ends at this sample. */
export function ogg(codec: 'opus' | 'vorbis', position: number): Buffer {
  const page = (at: number, body: Buffer) => {
    const head = Buffer.alloc(28);
    head.write('OggS', 0, 'latin1');
    head.writeBigInt64LE(BigInt(at), 6);
    head.writeUInt8(1, 26);
    head.writeUInt8(body.length, 27);
    return Buffer.concat([head, body]);
  };
  const opus = Buffer.from('OpusHead\u0001\u0001\0\0\0\0\0\0\0\0\0', 'latin1');
  opus.writeUInt16LE(312, 10);
  const vorbis = Buffer.concat([Buffer.from('\u0001vorbis\0\0\0\0\u0002', 'latin1'), Buffer.alloc(18)]);
  vorbis.writeUInt32LE(44_100, 12);
  return Buffer.concat([
    page(0, codec === 'opus' ? opus : vorbis),
    Buffer.alloc(200_000, 1),
    page(position, Buffer.alloc(10)),
  ]);
}

/** Its head, with this number of samples at 44,100 Hz. */
export function flac(samples: number): Buffer {
  const head = Buffer.alloc(42);
  head.write('fLaC', 0, 'latin1');
  head.writeUIntBE(34, 5, 3);
  head.writeUIntBE(44_100 << 4, 18, 3);
  head.writeUInt8(0xf0 | Math.floor(samples / 2 ** 32), 21);
  head.writeUInt32BE(samples % 2 ** 32, 22);
  return head;
}
