import type { TestClient } from './client.js';
import { deleteMessage, editMessage, markRead } from './operations.js';
import type { Random } from './random.js';
import type { TcpProxy } from './tcp-proxy.js';

/** Returns a function that lets the writer do one thing at random: send, edit, delete, or move the read mark. */
export function writeAtRandom(random: Random, writer: TestClient, roomId: string): () => Promise<void> {
  const sent: string[] = [];
  return async () => {
    const old = random.pick([undefined, ...sent]);
    const kind = random.between(1, 10);
    if (old === undefined || kind <= 6) sent.push((await writer.send(roomId, `글 ${sent.length}`)).message.id);
    else if (kind <= 8) await writer.http(editMessage, { input: { messageId: old, content: `고침 ${sent.length}` } });
    else if (kind === 9) await writer.http(markRead, { input: { roomId, messageId: old } });
    else {
      await writer.http(deleteMessage, { input: { messageId: old } });
      sent.splice(sent.indexOf(old), 1);
    }
  };
}

/**
 * Cuts the connections of a client so many times, with zero to three acts before each cut and up to two during it. Before about
 * half of the cuts, the client gets the time to catch up.
 */
export async function cutAtRandom(
  random: Random,
  proxy: TcpProxy,
  { cuts, act, catchUp }: { cuts: number; act: () => Promise<void>; catchUp: () => Promise<unknown> },
): Promise<void> {
  for (let cut = 0; cut < cuts; cut += 1) {
    for (let count = random.between(0, 3); count > 0; count -= 1) await act();
    if (random.between(0, 1) === 0) await catchUp();
    await proxy.cut();
    for (let count = random.between(0, 2); count > 0; count -= 1) await act();
    await proxy.restore();
  }
}
