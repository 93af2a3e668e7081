import { createServer } from 'node:net';

/**
 * Listens for a moment, so that a port in use is reported before databases are started and migrated. If another program takes
 * the port after that, the server's own `listen` reports it.
 * @throws {Error} with the `syscall` listen or getaddrinfo, and their codes
 */
export function assertCanListen(port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, host, () => server.close(() => resolve()));
  });
}
