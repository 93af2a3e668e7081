import type { IncomingMessage, ServerResponse } from 'node:http';
import { isUserId } from '../domain/ids.js';
import { refuse, sendJson } from './answers.js';
import { readText } from './body.js';
import { isLoopback, nameOf } from './hosts.js';

/** Signs a token for any user. Only the embedded mode has one. */
export type SignForUser = (userId: number) => Promise<string>;

const maxBodyBytes = 1_024;
const demoUserId = 4;

/** `POST /dev/login {"userId": 4}` answers with a token; from this machine only. */
export async function serveDevLogin(sign: SignForUser, request: IncomingMessage, response: ServerResponse) {
  if (!isLocal(request)) {
    return refuse(response, { code: 'FORBIDDEN', message: 'The development login is for this machine only' });
  }
  const body = await readText(request, maxBodyBytes);
  const userId = typeof body === 'string' ? parseUserId(body) : null;
  if (userId === null) {
    return refuse(response, { code: 'BAD_USER_INPUT', message: 'The body must be JSON such as {"userId": 4}' });
  }
  return sendJson(response, 200, { token: await sign(userId) });
}

/** The `Authorization` of a demo user, for a page that is opened on this machine. */
export const demoAuthorization = async (sign: SignForUser, request: IncomingMessage): Promise<string | undefined> =>
  isLocal(request) ? `Bearer ${await sign(demoUserId)}` : undefined;

/** From this machine, and not from a page elsewhere whose name is made to resolve to it. */
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
