import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A proxy before a service of S3, which can make copies slow. */
export interface S3Proxy {
  readonly endpoint: string;
  /** Holds the next copy. Resolves once it has arrived, with a function that lets it go on; others after it go on at once. */
  holdNextCopy(): Promise<() => void>;
  stop(): Promise<void>;
}

/** Starts a proxy before the service at this address. Signatures stay valid: the name of the host is part of them. */
export async function startS3Proxy(target: string): Promise<S3Proxy> {
  const { hostname, port } = new URL(target);
  let hold: ((release: () => void) => void) | undefined;
  const pass = (request: IncomingMessage, response: ServerResponse) => {
    const { method, url: path, headers } = request;
    const onward = httpRequest({ hostname, port, method, path, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      // Swift sends a body after some answers to HEAD.
      if (method === 'HEAD') response.end(() => answer.destroy());
      else answer.pipe(response);
    });
    onward.on('error', () => (response.headersSent ? response.end() : response.destroy()));
    request.pipe(onward);
  };
  const server = createServer((request, response) => {
    const isCopy = request.headers['x-amz-copy-source'] !== undefined;
    const noteHeld = isCopy ? hold : undefined;
    if (noteHeld === undefined) return pass(request, response);
    hold = undefined;
    noteHeld(() => pass(request, response));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    holdNextCopy: () =>
      new Promise((resolve) => {
        hold = resolve;
      }),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
