import type { IncomingMessage } from 'node:http';
import { isUserId } from '../domain/ids.js';
import { refuse, sendJson } from '../server/http/answers.js';
import { readText } from '../server/http/body.js';
import { isLoopback, nameOf } from '../server/http/hosts.js';
import type { Route } from '../server/http/router.js';

/** Signs a token for any user. */
export type SignForUser = (userId: number) => Promise<string>;

const maxBodyBytes = 1_024;
const demoUserId = 4;

/** The login of the embedded mode: it needs no password, and accepts requests from this machine only. */
export const devLoginRoutes = (sign: SignForUser): Route[] => [
  {
    methods: ['POST'],
    path: '/dev/login',
    handler: async (request, response) => {
      if (!isLocal(request)) {
        refuse(response, { code: 'FORBIDDEN', message: 'The development login is for this machine only' });
        return;
      }
      const body = await readText(request, maxBodyBytes);
      const userId = typeof body === 'string' ? parseUserId(body) : null;
      if (userId === null) {
        refuse(response, { code: 'BAD_USER_INPUT', message: 'The body must be JSON such as {"userId": 4}' });
        return;
      }
      sendJson(response, 200, { token: await sign(userId) });
    },
  },
];

/** The `Authorization` header of a demo user, for pages on this machine only. */
export const authorizeDemoUser = async (request: IncomingMessage, sign: SignForUser): Promise<string | undefined> =>
  isLocal(request) ? `Bearer ${await sign(demoUserId)}` : undefined;

/** Whether the request comes from this machine. Checks the Host header, too, against DNS rebinding. */
const isLocal = ({ headers, socket }: IncomingMessage): boolean =>
  /^(::1|(::ffff:)?127\.[\d.]+)$/.test(socket.remoteAddress ?? '') && isLoopback(nameOf(headers.host ?? ''));

function parseUserId(body: string): number | null {
  try {
    const { userId } = JSON.parse(body) as { userId?: unknown };
    return typeof userId === 'number' && isUserId(String(userId)) ? userId : null;
  } catch {
    return null;
  }
}
