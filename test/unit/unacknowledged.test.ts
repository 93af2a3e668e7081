import { describe, expect, it } from 'vitest';
import { parseTcpTable, peerOf } from '../../src/server/http/unacknowledged.js';

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0FA0 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17498 1 00000000e5805acc 100 0 0 10 0
   1: 0100007F:0FA0 0200007F:C350 01 0000000A:00000000 01:00000014 00000002     0        0 15834 1 0000000074b3e1ee 100 0 0 10 0
   2: 0100007F:0FA0 0200007F:C351 01 00000000:00000010 00:00000000 00000000     0        0 15835 1 0000000074b3e1ef 100 0 0 10 0
  33: 0100007F:0FA1 0200007F:C352 01 0000000B:00000000 00:00000000 00000000     0        0 15836 1 0000000074b3e1f0 100 0 0 10 0
 100: 0000000000000000FFFF00000100007F:0FA0 0000000000000000FFFF00000300007F:FFFF 04 00012345:00000000 01:0 0 0 0 1 1 0
`;

describe('the bytes that peers have yet to acknowledge', () => {
  it('are read for the connections to one port that have such bytes', () => {
    expect(parseTcpTable(table, 4_000)).toEqual([
      ['0200007F:C350', 10],
      ['0000000000000000FFFF00000300007F:FFFF', 0x12345],
    ]);
    expect(parseTcpTable(table, 4_001)).toEqual([['0200007F:C352', 11]]);
    expect(parseTcpTable(table, 80)).toEqual([]);
  });

  it.each([
    ['127.0.0.2', 50_000, '0200007F:C350'],
    ['::ffff:127.0.0.3', 65_535, '0000000000000000FFFF00000300007F:FFFF'],
    ['::1', 1, '00000000000000000000000001000000:0001'],
    ['2001:db8::ff00:42:8329', 443, 'B80D01200000000000FF000029834200:01BB'],
    ['fe80::1%eth0', 443, '000080FE000000000000000001000000:01BB'],
  ])('belong to a peer at %s, port %d, that the table calls %s', (remoteAddress, remotePort, name) => {
    expect(peerOf({ remoteAddress, remotePort })).toBe(name);
  });
});
