import { tokenFor } from './client.js';
import type { Instance } from './instance.js';
import { RawSocket } from './wire.js';

/** Fields of a selection, which take the server about a tenth of a millisecond. */
const fields = 200;

/** One subscription to the added messages of a room. */
export interface Listening {
  readonly userId: number;
  /** The ids of the messages that came, in their order, and their positions. */
  readonly ids: string[];
  readonly seqs: number[];
}

/**
 * Subscriptions with documents that all differ, so that they share no execution: an entry costs the server as many executions
 * as there are subscriptions.
 */
export async function gatherAudience(
  instance: Instance,
  roomId: string,
  { userIds, documentsPerUser }: { userIds: readonly number[]; documentsPerUser: number },
): Promise<{ readonly listenings: readonly Listening[]; close(): void }> {
  const listenings: Listening[] = [];
  const sockets: RawSocket[] = [];
  for (const userId of userIds) {
    const socket = await RawSocket.connect(instance, await tokenFor(userId));
    sockets.push(socket);
    const own = Array.from({ length: documentsPerUser }, (): Listening => ({ userId, ids: [], seqs: [] }));
    listenings.push(...own);
    socket.ws.removeAllListeners('message');
    socket.ws.on('message', (data) => note(String(data), own));
    for (const [index] of own.entries()) {
      const name = `f${listenings.length}_${index}_`;
      const many = Array.from({ length: fields }, (_, number) => `${name}${number}: editedAt`).join(' ');
      const query = `subscription ($roomId: ID!) { messageAdded(roomId: $roomId, afterSeq: 0) { id seq ${many} } }`;
      socket.subscribe(String(index), { query, variables: { roomId } });
    }
  }
  const close = () => {
    for (const { ws } of sockets) ws.terminate();
  };
  return { listenings, close };
}

/** Reads only the beginning: parsing all fields would take this process as long as the server takes to make them. */
function note(text: string, own: readonly Listening[]): void {
  const [, index = '', id = '', seq = ''] =
    /^{"id":"(\d+)","type":"next","payload":{"data":{"messageAdded":{"id":"([^"]+)","seq":(\d+)/.exec(text) ?? [];
  own[Number(index)]?.ids.push(id);
  own[Number(index)]?.seqs.push(Number(seq));
  if (id === '') throw new Error(`Not a message: ${text.slice(0, 300)}`);
}
