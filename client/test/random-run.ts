import { Random } from '../../test/support/random.js';
import { ModelRefusal } from '../conformance/model-server.js';
import { FairwayError, type TimelineMessage } from '../src/fairway.js';
import { type Client, Simulation } from './simulation.js';

const viewer = '4';
const peer = '5';

/** A message that the viewer has sent in a run. */
interface Sent {
  readonly id: string;
  readonly roomId: string;
  readonly client: Client;
  readonly place: number;
}

/**
 * One run: a viewer with one or two tabs and a peer do what people do, while everything around the client fails. In the end all
 * is well again, and the client must show what a fresh query shows, with every message sent once and in order.
 * @returns what is wrong; nothing if all is right
 */
export async function runAtRandom(seed: number, { steps = 40 } = {}): Promise<string[]> {
  const simulation = new Simulation(seed);
  const { clock, server, random } = simulation;
  // Every third browser has a bad disk: it is slow, and its databases fail for a while.
  const disk = new Random(seed);
  const isDiskBad = seed % 3 === 0;
  if (isDiskBad) simulation.browser.diskMs = () => disk.next() * disk.next() * 2_000;
  const failForAWhile = ({ tab }: Client) => {
    tab.isStorageFailing = true;
    clock.setTimer(() => {
      tab.isStorageFailing = false;
    }, disk.next() * 8_000);
  };
  const roomIds = [server.createRoom([viewer, peer]).id, server.createRoom([peer, viewer]).id];
  for (const roomId of roomIds) {
    const count = Math.floor(random() * random() * 700);
    for (let index = 0; index < count; index += 1) server.send(roomId, simulation.pick([viewer, peer]), `old ${index}`);
  }
  const clients = new Set<Client>();
  const sent: Sent[] = [];
  /** Messages whose entry was lost with a backup, and what the viewer has taken back. */
  const excused = new Set<string>();
  let texts = 0;

  const watch = (client: Client): Client => {
    clients.add(client);
    client.fairway.rooms.subscribe(() => undefined);
    for (const roomId of roomIds) client.fairway.room(roomId).subscribe(() => undefined);
    return client;
  };
  const aClient = () => simulation.pick([...clients]);
  const aRoom = () => simulation.pick(roomIds);
  const newText = () => {
    texts += 1;
    return `text ${texts}`;
  };
  const ownMessage = (): { client: Client; roomId: string; message: TimelineMessage } | undefined => {
    const [client, roomId] = [aClient(), aRoom()];
    const messages = client.fairway
      .room(roomId)
      .getSnapshot()
      .messages.filter(({ canEdit }) => canEdit);
    return messages.length === 0 ? undefined : { client, roomId, message: simulation.pick(messages) };
  };
  const peerMessage = () => {
    const messages = server.rooms
      .get(aRoom())
      ?.messages.filter(({ senderId, deletedAt }) => senderId === peer && deletedAt === null);
    return messages === undefined || messages.length === 0 ? undefined : simulation.pick(messages);
  };

  const happenings: Record<string, () => void> = {
    send: () => {
      const [client, roomId] = [aClient(), aRoom()];
      sent.push({ id: client.fairway.room(roomId).send(newText()), roomId, client, place: sent.length });
    },
    'send files': () => {
      const [client, roomId] = [aClient(), aRoom()];
      const blob = new Blob(['x'.repeat(1 + random() * 100_000)]);
      const id = client.fairway.room(roomId).sendFiles([{ blob, name: 'file' }], newText());
      sent.push({ id, roomId, client, place: sent.length });
    },
    'peer sends': () => server.send(aRoom(), peer, newText()),
    'peer sends many': () => {
      const roomId = aRoom();
      for (let index = 0; index < 1 + random() * 80; index += 1) server.send(roomId, peer, newText());
    },
    'peer edits': () => {
      const message = peerMessage();
      if (message !== undefined) server.edit(message.id, peer, newText());
    },
    'peer deletes': () => {
      const message = peerMessage();
      if (message !== undefined) server.delete(message.id, peer);
    },
    'peer reads': () => {
      const [roomId, message] = [aRoom(), peerMessage()];
      if (message?.roomId === roomId) server.markRead(roomId, peer, message.id);
    },
    edit: () => {
      const own = ownMessage();
      if (own !== undefined) own.client.fairway.room(own.roomId).edit(own.message.id, newText());
    },
    delete: () => {
      const own = ownMessage();
      if (own === undefined) return;
      excused.add(own.message.id);
      own.client.fairway.room(own.roomId).delete(own.message.id);
    },
    see: () => {
      const room = aClient().fairway.room(aRoom());
      const last = room.getSnapshot().messages.findLast(({ seq }) => seq !== null);
      if (last !== undefined) room.see(last.id);
    },
    'look back': () => {
      aClient()
        .fairway.room(aRoom())
        .loadOlder()
        .catch(() => undefined);
    },
    'go far back': () => {
      const roomId = aRoom();
      const [first] = server.rooms.get(roomId)?.messages ?? [];
      if (first !== undefined)
        aClient()
          .fairway.room(roomId)
          .goTo(first.id)
          .catch(() => undefined);
    },
    'look on': () => {
      aClient()
        .fairway.room(aRoom())
        .loadNewer()
        .catch(() => undefined);
    },
    cut: () => aClient().tab.network.cut(),
    silence: () => aClient().tab.network.silence(),
    restore: () => aClient().tab.network.restore(),
    'back online': () => {
      const { tab } = aClient();
      tab.network.restore();
      tab.tell('online');
    },
    'server restarts': () => {
      for (const { tab } of clients) tab.network.drop(1012);
    },
    'slow consumer': () => aClient().tab.network.drop(4490),
    'token expires': () => {
      const { tab } = aClient();
      tab.network.refusesTokensBefore = Math.floor(clock.now / 1_000) * 1_000;
      tab.network.drop(4403);
    },
    'no upgrades': () => {
      const { network } = aClient().tab;
      network.allowsUpgrades = false;
      network.drop();
    },
    upgrades: () => {
      aClient().tab.network.allowsUpgrades = true;
    },
    'repeats frames': () => {
      const { network } = aClient().tab;
      network.tamper = (frame) => (frame.type === 'next' && random() < 0.3 ? [frame, frame] : [frame]);
      simulation.clock.setTimer(() => {
        network.tamper = (frame) => [frame];
      }, 3_000);
    },
    'loses answers': () => {
      const { network } = aClient().tab;
      const isAnswer = (frame: { type: string; payload?: Record<string, unknown> }) =>
        frame.type === 'next' && /"(send|edit|delete)Message"/.test(JSON.stringify(frame.payload));
      network.tamper = (frame) => (isAnswer(frame) && random() < 0.5 ? [] : [frame]);
      simulation.clock.setTimer(() => {
        network.tamper = (frame) => [frame];
      }, 3_000);
    },
    'server refuses': () => {
      const code = simulation.pick(['UNAVAILABLE', 'RATE_LIMITED', 'INTERNAL']);
      server.refuse = () =>
        random() < 0.7 ? new ModelRefusal(code, code === 'RATE_LIMITED' ? 500 : undefined) : undefined;
      simulation.clock.setTimer(() => {
        server.refuse = () => undefined;
      }, random() * 8_000);
    },
    'no token': () => {
      simulation.getToken = async () => {
        throw new Error('The token endpoint is away');
      };
      simulation.clock.setTimer(() => {
        simulation.getToken = getToken;
      }, random() * 8_000);
    },
    reload: () => {
      const client = aClient();
      // What is in memory only is lost with its tab: the storage has not answered yet, or is away.
      for (const { id, order } of client.fairway.outbox.getSnapshot()) {
        if (order > 2 ** 49 || !Number.isInteger(order)) excused.add(id);
      }
      client.tab.kill();
      clients.delete(client);
      watch(simulation.open(viewer));
    },
    'second tab': () => {
      if (clients.size < 3) watch(simulation.open(viewer));
    },
    freeze: () => aClient().tab.freeze(),
    thaw: () => aClient().tab.thaw(),
    hide: () => aClient().tab.tell('hidden'),
    show: () => aClient().tab.tell('shown'),
    'clock jumps': () => {
      aClient().tab.clockOffMs = simulation.pick([-86_400_000, 0, 86_400_000]);
    },
    'unknown event': () => server.emitUnknown(aRoom()),
    'backup restored': () => {
      const roomId = aRoom();
      const room = server.rooms.get(roomId);
      if (room === undefined) return;
      const toSeq = Math.max(room.seq - Math.floor(random() * 6), 0);
      for (const { id, seq } of room.messages) if (seq > toSeq) excused.add(id);
      server.restore(roomId, toSeq);
    },
  };
  const { getToken } = simulation;
  const log: string[] = [];
  const names = Object.keys(happenings);
  const common = ['send', 'send', 'peer sends', 'peer edits', 'restore', 'thaw', 'show'];

  watch(simulation.open(viewer));
  await clock.until(() => aClient().fairway.viewer.getSnapshot() !== null, 60_000);
  for (let step = 0; step < steps; step += 1) {
    if (isDiskBad && disk.next() < 0.05) failForAWhile(disk.pick([...clients]));
    const name = random() < 0.4 ? simulation.pick(common) : simulation.pick(names);
    log.push(`${clock.now % 100_000_000}: ${name}`);
    try {
      happenings[name]?.();
    } catch (error) {
      // Until somebody is signed in again, nobody can do anything.
      if (!(error instanceof FairwayError) || error.code !== 'SIGNED_OUT') throw error;
    }
    await clock.advance(random() < 0.5 ? random() * 200 : random() * 6_000);
  }

  // All is well again.
  server.refuse = () => undefined;
  simulation.getToken = getToken;
  simulation.browser.diskMs = () => 0;
  for (const { tab, fairway } of clients) {
    tab.network.allowsUpgrades = true;
    tab.network.tamper = (frame) => [frame];
    tab.network.restore();
    tab.clockOffMs = 0;
    tab.isStorageFailing = false;
    tab.thaw();
    tab.tell('shown');
    tab.tell('online');
    // After two refusals of a token in a row, the app signs in again.
    fairway.reconnectNow();
  }
  const isQuiet = () =>
    [...clients].every(({ fairway }) => {
      for (const { id, kind, error } of fairway.outbox.getSnapshot()) {
        // The restored backup has lost the message that was to be changed.
        if (kind === 'edit' && (error === 'NOT_FOUND' || error === 'CONFLICT')) fairway.outbox.discard(id);
        // The disk has failed before it had the bytes, and their page has ended.
        else if (isDiskBad && error === 'FILE_LOST') {
          excused.add(id);
          fairway.outbox.discard(id);
        } else if (error !== null) fairway.outbox.retry(id);
      }
      const waiting = fairway.outbox.getSnapshot().filter(({ error }) => error === null);
      const rooms = roomIds.map((id) => fairway.room(id).getSnapshot());
      return (
        waiting.length === 0 &&
        // What an earlier page has left is known once the database is back.
        fairway.connection.getSnapshot().isStorageDurable &&
        rooms.every(({ status }) => status === 'ready') &&
        fairway.rooms.getSnapshot().status === 'ready'
      );
    });
  const problems: string[] = [];
  await clock.advance(1_000);
  if (!(await clock.until(isQuiet, 300_000))) {
    const waiting = [...clients].map(({ fairway }) => [
      fairway.connection.getSnapshot(),
      fairway.outbox
        .getSnapshot()
        .map(({ kind, id, attempts, error, order }) => [kind, id.slice(-4), attempts, error, order]),
      roomIds.map((id) => fairway.room(id).getSnapshot().status),
    ]);
    problems.push(`it did not become quiet: ${JSON.stringify(waiting)}`);
  }
  for (const { fairway } of clients) {
    for (const roomId of roomIds) fairway.room(roomId).goToLatest();
  }
  await clock.advance(5_000);
  const isAtEnd = () =>
    [...clients].every(({ fairway }) => roomIds.every((id) => !fairway.room(id).getSnapshot().hasNewer));
  if (!(await clock.until(() => isQuiet() && isAtEnd(), 300_000))) problems.push('it did not stay quiet at the end');
  await clock.advance(5_000);

  for (const [index, { fairway }] of [...clients].entries()) {
    for (const roomId of roomIds)
      problems.push(...compare(simulation, `tab ${index}`, fairway.room(roomId).getSnapshot(), roomId));
    const listed = fairway.rooms.getSnapshot().rooms.map(({ id, seq, unreadCount }) => [id, seq, unreadCount]);
    const truth = [...server.rooms.values()]
      .sort((a, b) => b.updatedAt - a.updatedAt || (a.id < b.id ? 1 : -1))
      .map((room) => [room.id, room.seq, server.unreadCount(room, viewer)]);
    if (JSON.stringify(listed) !== JSON.stringify(truth)) {
      problems.push(`tab ${index}: the list is ${JSON.stringify(listed)}, not ${JSON.stringify(truth)}`);
    }
  }
  problems.push(...checkSends(simulation, sent, excused));
  for (const client of clients) client.fairway.close();
  await clock.advance(120_000);
  for (const { tab } of clients) {
    if (tab.network.openConnections > 0) problems.push('a closed client has connections');
    if (tab.pageListeners > 0) problems.push('a closed client listens to the page');
  }
  if (clock.pending > 0) problems.push(`${clock.pending} timers run after all clients are closed`);
  return problems.length === 0 ? [] : [`seed ${seed}`, ...problems, ...log];
}

function compare(
  { server }: Simulation,
  who: string,
  snapshot: ReturnType<
    Client['fairway']['room'] extends (id: string) => infer R
      ? R extends { getSnapshot(): infer S }
        ? () => S
        : never
      : never
  >,
  roomId: string,
): string[] {
  const truth = server.truth(roomId, viewer);
  const shown = snapshot.messages;
  const tail = truth.slice(-shown.length || truth.length);
  const problems: string[] = [];
  const view = (message: {
    id: string;
    seq: number | null;
    content: string | null;
    deletedAt: string | null;
    unreadMemberCount: number | null;
  }) =>
    [message.id.slice(-4), message.seq, message.content, message.deletedAt !== null, message.unreadMemberCount].join();
  const seqs = new Set(shown.map(({ seq }) => seq));
  const holes = tail.filter(({ seq }) => seq >= (shown[0]?.seq ?? 0) && !seqs.has(seq)).map(({ seq }) => seq);
  if (holes.length > 0) problems.push(`${who}: ${holes.join()} are missing of ${shown.length}`);
  if (shown.length === 0 && truth.length > 0) problems.push(`${who}: nothing is shown`);
  for (let index = 0; index < Math.max(shown.length, tail.length); index += 1) {
    const [is, should] = [shown[index], tail[index]];
    if (is !== undefined && should !== undefined && view(is) === view(should) && is.status === 'sent') continue;
    problems.push(`${who}, ${index}: ${is && view(is)} ${is?.status}, not ${should && view(should)}`);
    break;
  }
  const room = server.rooms.get(roomId);
  const unread = room === undefined ? 0 : server.unreadCount(room, viewer);
  if (snapshot.unreadCount !== unread) problems.push(`${who}: ${snapshot.unreadCount} unread, not ${unread}`);
  return problems;
}

/** Every message of the viewer must be there once, those of one tab and room in the order in which they were sent. */
function checkSends({ server }: Simulation, sent: readonly Sent[], excused: ReadonlySet<string>): string[] {
  const problems: string[] = [];
  const places = new Map<string, number>();
  for (const { id, roomId, client } of sent) {
    const seq = server.rooms.get(roomId)?.messages.find((message) => message.id === id)?.seq;
    if (seq === undefined) {
      if (!excused.has(id)) problems.push(`a message was lost: ${id.slice(-4)}`);
      continue;
    }
    if (excused.has(id)) continue;
    const key = `${roomId} ${client.tab.environment.uuid.length}`;
    const own = `${key} ${sent.findIndex((one) => one.client === client)}`;
    if (seq < (places.get(own) ?? 0)) problems.push(`${id.slice(-4)} overtook another`);
    places.set(own, seq);
  }
  return problems;
}
