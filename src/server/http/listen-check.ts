import { createServer } from 'node:net';

/**
 * Listens for a moment, so that a port that is taken is told before databases are started and migrated for nothing. Who takes it
 * meanwhile is told of later.
 * @throws {Error} with the `syscall` listen or getaddrinfo, and their codes
 */
export function assertCanListen(port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, host, () => server.close(() => resolve()));
  });
}
