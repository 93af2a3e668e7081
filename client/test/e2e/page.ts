import { createElement, StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { createEnvironment, createFairway, type Fairway, type RoomSnapshot } from '../../src/fairway.js';
import { FairwayProvider, useRoom } from '../../src/react/hooks.js';

/** What the tests do with a page. */
interface Handle {
  start(options: { url: string; token: string; withoutSockets?: boolean }): void;
  open(roomId: string): void;
  send(roomId: string, content: string): string;
  look(roomId: string): Pick<RoomSnapshot, 'status'> & { texts: string[] };
  connection(): unknown;
  /** How many operations the database on the disk has. */
  storedOperations(): Promise<number>;
  /** Mounts and unmounts a component with the room this often. */
  mount(roomId: string, times: number): Promise<void>;
  close(): void;
  sockets: number;
}

declare global {
  interface Window {
    handle: Handle;
  }
}

const Conversation = ({ roomId }: { roomId: string }) =>
  createElement('ul', null, String(useRoom(roomId).messages.length));

let fairway: Fairway;

const handle: Handle = {
  sockets: 0,
  start: ({ url, token, withoutSockets = false }) => {
    class CountedSocket extends WebSocket {
      constructor(address: string | URL, protocols?: string | string[]) {
        super(address, protocols);
        handle.sockets += 1;
      }
    }
    const environment = createEnvironment({ WebSocket: withoutSockets ? undefined : CountedSocket });
    fairway = createFairway({ url, getToken: () => token, environment });
  },
  open: (roomId) => {
    fairway.room(roomId).subscribe(() => undefined);
  },
  send: (roomId, content) => fairway.room(roomId).send(content),
  look: (roomId) => {
    const { status, messages } = fairway.room(roomId).getSnapshot();
    const texts = messages
      .filter(({ type }) => type === 'TEXT')
      .map((message) => `${message.content} ${message.status}`);
    return { status, texts };
  },
  storedOperations: async () => {
    const databases = await indexedDB.databases();
    const name = databases.map((database) => database.name ?? '').find((one) => one.endsWith(':4')) ?? '';
    const store = await createEnvironment().openStorage(name);
    const { length } = await store.entries('outbox');
    store.close();
    return length;
  },
  connection: () => fairway.connection.getSnapshot(),
  mount: async (roomId, times) => {
    const element = document.createElement('div');
    document.body.append(element);
    for (let time = 0; time < times; time += 1) {
      const root = createRoot(element);
      root.render(
        createElement(
          StrictMode,
          null,
          createElement(FairwayProvider, { fairway }, createElement(Conversation, { roomId })),
        ),
      );
      await new Promise((resolve) => setTimeout(resolve));
      root.unmount();
    }
  },
  close: () => fairway.close(),
};
window.handle = handle;
