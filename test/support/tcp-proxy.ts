import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A connection to a server that can be cut like a network. */
export interface TcpProxy {
  /** The URL of the server through the proxy. */
  readonly url: string;
  /** Resets connections and refuses new ones; `silently`: passes no data on, without a notification. */
  cut(options?: { silently: boolean }): Promise<void>;
  /** Passes data on again; silently cut connections continue where they stopped. */
  restore(): Promise<void>;
  /** Passes new connections to another server; open ones stay with theirs. */
  redirect(targetUrl: string): void;
  /** Stops the proxy, and closes all connections. */
  stop(): Promise<void>;
}

/** Starts a proxy on a free port, in front of the server at that URL. */
export async function startTcpProxy(targetUrl: string): Promise<TcpProxy> {
  let target = new URL(targetUrl);
  const sockets = new Set<Socket>();
  let isSilent = false;

  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    return socket;
  };
  const pass = (from: Socket, to: Socket) => {
    from.on('data', (data) => {
      if (!to.destroyed && !to.write(data)) from.pause();
    });
    to.on('drain', () => !isSilent && from.resume());
    from.once('close', () => to.destroy());
    if (isSilent) from.pause();
  };
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const socket of [client, upstream]) keep(socket);
    pass(client, upstream);
    pass(upstream, client);
  });
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  const refuse = async () => {
    const closed = server.listening ? once(server, 'close') : undefined;
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };

  await listen(0);
  const { port } = server.address() as AddressInfo;
  const url = new URL(targetUrl);
  url.hostname = '127.0.0.1';
  url.port = String(port);
  return {
    url: url.href,
    cut: async ({ silently } = { silently: false }) => {
      if (!silently) return refuse();
      isSilent = true;
      for (const socket of sockets) socket.pause();
    },
    restore: async () => {
      isSilent = false;
      for (const socket of sockets) socket.resume();
      if (!server.listening) await listen(port);
    },
    redirect: (otherUrl) => {
      target = new URL(otherUrl);
    },
    stop: refuse,
  };
}
