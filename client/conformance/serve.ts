import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pathToFileURL } from 'node:url';
import { type WebSocket, WebSocketServer } from 'ws';
import { ModelRefusal, ModelServer, toErrors } from './model-server.js';
import type { Post, Scenario, Step } from './scenario.js';
import { createTamper, type Frame } from './tamper.js';

/** The steps that this server plays; those of the client are the client's own. */
type PlayedStep = Extract<Step, { server: string } | { network: string }>;

interface Conformance {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves the model of a Fairway server for clients in any language:
 * - `/graphql`: HTTP, HTTP streams and WebSocket, as a real server. The token is a JWT whose `sub` is the user; its signature
 *   is not checked.
 * - `POST /scenario` with a scenario: begins anew with its rooms; answers with their ids by their names.
 * - `POST /step` with a step of `server` or `network`: plays it. A message is named by its id, or by `as`.
 * - `GET /state?room=a`: the texts that are stored, and how often each mutation was executed.
 */
export async function serveConformance(port = 0): Promise<Conformance> {
  const stage = new Stage();
  const server = createServer((request, response) => {
    answer(stage, request, response).catch((error) => response.writeHead(500).end(String(error)));
  });
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'graphql-transport-ws' });
  server.on('upgrade', (request, connection, head) => {
    if (!stage.allowsUpgrades || stage.isCut) return connection.destroy();
    return sockets.handleUpgrade(request, connection, head, (socket) => stage.serveSocket(socket));
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, close: () => close(server, stage) };
}

async function close(server: Server, stage: Stage): Promise<void> {
  stage.dropConnections(1001);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

async function answer(stage: Stage, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
  const body = request.method === 'POST' ? JSON.parse((await request.toArray()).join('')) : undefined;
  const send = (value: unknown) => response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
  if (pathname === '/scenario') send(stage.begin(body as Scenario));
  else if (pathname === '/step') send(stage.play(body as PlayedStep));
  else if (pathname === '/state') send(stage.look(searchParams.get('room') ?? ''));
  else if (stage.isCut) response.destroy();
  else stage.serveRequest(request, response, body as Record<string, unknown>);
}

/** One scenario with its rooms, its clients and the faults of the way to them. */
class Stage {
  allowsUpgrades = true;
  isCut = false;
  #model = new ModelServer(realClock);
  #roomIds = new Map<string, string>();
  #messageIds = new Map<string, string>();
  #refusesTokensBefore = 0;
  readonly #sockets = new Set<WebSocket>();
  readonly #streams = new Set<ServerResponse>();
  #tamper: (frame: Frame) => readonly Frame[] = (frame) => [frame];

  begin({ rooms }: Scenario): Record<string, string> {
    this.dropConnections(1001);
    this.#model = new ModelServer(realClock);
    [this.allowsUpgrades, this.isCut, this.#refusesTokensBefore] = [true, false, 0];
    [this.#roomIds, this.#messageIds] = [new Map(), new Map()];
    this.#tamper = (frame) => [frame];
    for (const [name, { members, messages = [] }] of Object.entries(rooms)) {
      const { id } = this.#model.createRoom(members, name);
      this.#roomIds.set(name, id);
      for (const post of messages) this.#post(id, post);
    }
    return Object.fromEntries(this.#roomIds);
  }

  play(step: PlayedStep): Record<string, string> {
    if ('server' in step) this.#playServer(step);
    else this.#playNetwork(step);
    return Object.fromEntries(this.#messageIds);
  }

  look(name: string): { stored: (string | null)[]; executed: Record<string, number> } {
    const messages = this.#model.rooms.get(this.#roomId(name))?.messages ?? [];
    const executed: Record<string, number> = {};
    for (const { name: operation } of this.#model.executed) executed[operation] = (executed[operation] ?? 0) + 1;
    return { stored: messages.filter(({ deletedAt }) => deletedAt === null).map(({ content }) => content), executed };
  }

  dropConnections(code: number): void {
    for (const socket of this.#sockets) {
      if (code === 1006) socket.terminate();
      else socket.close(code);
    }
    for (const stream of this.#streams) stream.destroy();
  }

  serveRequest(request: IncomingMessage, response: ServerResponse, body: Record<string, unknown>): void {
    const send = (value: unknown) => response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
    const userId = this.#userOf(request.headers.authorization);
    const [name, variables] = [nameOf(String(body['query'])), body['variables'] as Record<string, unknown>];
    if (userId === undefined) send({ errors: toErrors(new ModelRefusal('UNAUTHENTICATED'), 'token') });
    else if (request.headers.accept?.startsWith('text/event-stream')) this.#stream(response, userId, name, variables);
    else send(this.#model.execute(userId, name, variables));
  }

  serveSocket(socket: WebSocket): void {
    const operations = new Map<string, () => void>();
    let userId: string | undefined;
    const send = (frame: Frame) => {
      for (const passed of this.#tamper(frame)) socket.send(JSON.stringify(passed));
    };
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      for (const stop of operations.values()) stop();
    });
    socket.on('message', (text) => {
      const { type, id = '', payload = {} } = JSON.parse(String(text)) as Frame;
      if (type === 'ping') send({ type: 'pong' });
      if (type === 'complete') operations.get(id)?.();
      if (type === 'connection_init') {
        userId = this.#userOf(payload['authorization']);
        if (userId === undefined) socket.close(4403);
        else send({ type: 'connection_ack' });
      }
      if (type === 'subscribe' && userId !== undefined) operations.set(id, this.#execute(userId, id, payload, send));
    });
  }

  #execute(userId: string, id: string, payload: Record<string, unknown>, send: (frame: Frame) => void): () => void {
    const [query, variables] = [String(payload['query']), payload['variables'] as Record<string, unknown>];
    if (query.includes('subscription ')) {
      return this.#model.subscribe(userId, nameOf(query), variables, {
        next: (data) => send({ type: 'next', id, payload: { data } }),
        end: (errors) => {
          if (errors !== undefined) send({ type: 'next', id, payload: { errors } });
          send({ type: 'complete', id });
        },
      });
    }
    send({ type: 'next', id, payload: this.#model.execute(userId, nameOf(query), variables) });
    send({ type: 'complete', id });
    return () => undefined;
  }

  #stream(response: ServerResponse, userId: string, name: string, variables: Record<string, unknown>): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    this.#streams.add(response);
    const write = (result: unknown) => response.write(`event: next\ndata: ${JSON.stringify(result)}\n\n`);
    const stop = this.#model.subscribe(userId, name, variables, {
      next: (data) => write({ data }),
      end: (errors) => {
        if (errors !== undefined) write({ errors });
        response.end('event: complete\ndata:\n\n');
      },
    });
    response.on('close', () => {
      this.#streams.delete(response);
      stop();
    });
  }

  #userOf(authorization: unknown): string | undefined {
    try {
      const [, claims = ''] = String(authorization).replace('Bearer ', '').split('.');
      const { sub, exp, iat } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, number>;
      const isGood = Number(exp) * 1_000 > Date.now() && Number(iat) * 1_000 >= this.#refusesTokensBefore;
      return isGood ? String(sub) : undefined;
    } catch {
      return undefined;
    }
  }

  #roomId(name: string): string {
    return this.#roomIds.get(name) ?? name;
  }

  #messageId(name: string): string {
    return this.#messageIds.get(name) ?? name;
  }

  #post(roomId: string, { from, content, count = 1, as }: Post): void {
    for (let number = 1; number <= count; number += 1) {
      const { id } = this.#model.send(roomId, from, count === 1 ? content : `${content} ${number}`);
      if (as !== undefined) this.#messageIds.set(as, id);
    }
  }

  #playServer(step: Extract<Step, { server: string }>): void {
    const model = this.#model;
    switch (step.server) {
      case 'send':
        this.#post(this.#roomId(step.room), step);
        break;
      case 'edit':
        model.edit(this.#messageId(step.message), '5', step.content);
        break;
      case 'delete':
        model.delete(this.#messageId(step.message), '5');
        break;
      case 'read':
        model.markRead(this.#roomId(step.room), step.by, this.#messageId(step.message));
        break;
      case 'remove':
        model.remove(this.#roomId(step.room), step.user);
        break;
      case 'restore': {
        const roomId = this.#roomId(step.room);
        model.restore(roomId, (model.rooms.get(roomId)?.seq ?? 0) - step.lose);
        break;
      }
      case 'unknownEvent':
        model.emitUnknown(this.#roomId(step.room));
        break;
      case 'refuse':
        model.refuseNext(step.operation, new ModelRefusal(step.code, step.retryAfterMs), step.times);
        break;
      case 'refuseTokens':
        this.#refusesTokensBefore = Math.floor(Date.now() / 1_000) * 1_000;
        break;
    }
  }

  #playNetwork(step: Extract<Step, { network: string }>): void {
    switch (step.network) {
      case 'cut':
      case 'silence':
        this.isCut = true;
        this.dropConnections(1006);
        break;
      case 'restore':
        this.isCut = false;
        break;
      case 'noUpgrades':
        this.allowsUpgrades = false;
        this.dropConnections(1006);
        break;
      case 'upgrades':
        this.allowsUpgrades = true;
        break;
      case 'close':
        this.dropConnections(step.code);
        break;
      default:
        this.#tamper = createTamper(step, () => {
          this.#tamper = (frame) => [frame];
        });
    }
  }
}

const nameOf = (query: string): string => /(?:query|mutation|subscription) (\w+)/.exec(query)?.[1] ?? '';

const realClock = {
  get now() {
    return Date.now();
  },
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { port } = await serveConformance(Number(process.env['PORT'] ?? 4100));
  process.stdout.write(`Scenarios are played on http://127.0.0.1:${port}\n`);
}
