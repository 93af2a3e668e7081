import type { ModelServer } from './model-server.js';
import { ModelRefusal, toErrors } from './model-server.js';
import type { Frame } from './tamper.js';
import type { VirtualClock } from './virtual-clock.js';

/** The socket as the client sees it. */
interface ClientSocket {
  readyState: number;
  onopen: (() => void) | null;
  onmessage: ((event: { data: string }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: unknown) => void) | null;
}

/** Both ends of a connection, with the times at which the last frames arrive: frames do not overtake each other. */
interface Link {
  readonly socket: ClientSocket;
  userId: string | undefined;
  isServed: boolean;
  arrivesAtServer: number;
  arrivesAtClient: number;
  readonly operations: Map<string, () => void>;
}

/** The tokens that this server accepts: the payload of a JWT without a signature. */
export function createToken(userId: string, issuedAtMs: number, lifeMs: number): string {
  const claims = { sub: userId, iat: Math.floor(issuedAtMs / 1_000), exp: Math.floor((issuedAtMs + lifeMs) / 1_000) };
  return `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2lnbmF0dXJl`;
}

/**
 * The way between one tab and the server, in virtual time: a WebSocket of graphql-transport-ws, requests and streams of HTTP.
 * It delays, cuts and holds what passes.
 */
export class SimulatedNetwork {
  /** `cut` refuses and closes, `silent` holds everything back without a word. */
  state: 'up' | 'cut' | 'silent' = 'up';
  /** Whether a WebSocket gets through. */
  allowsUpgrades = true;
  /** Changes the frames on their way to the client: none is a loss, two are a repeat. */
  tamper: (frame: Frame) => readonly Frame[] = (frame) => [frame];
  /** Tokens issued before this moment are refused. */
  refusesTokensBefore = 0;
  /** How fast files go. */
  bytesPerMs = 1_000;
  /** The sockets that have been opened so far. */
  opened = 0;
  readonly WebSocket: unknown;
  readonly #links = new Set<Link>();
  readonly #streams = new Set<{ end(): void; lose(): void }>();
  #held: (() => void)[] = [];
  #drops = 0;

  constructor(
    private readonly clock: VirtualClock,
    private readonly server: ModelServer,
    private readonly random: () => number,
    private readonly runInTab: (run: () => void) => void,
  ) {
    const network = this;
    this.WebSocket = class SimulatedWebSocket implements ClientSocket {
      static readonly CONNECTING = 0;
      static readonly OPEN = 1;
      static readonly CLOSING = 2;
      static readonly CLOSED = 3;
      readyState = 0;
      onopen = null;
      onmessage = null;
      onclose = null;
      onerror = null;
      readonly #link: Link;
      constructor() {
        this.#link = network.#connect(this);
      }
      send(text: string): void {
        if (this.readyState === 1) network.#toServer(this.#link, JSON.parse(text) as Frame);
      }
      close(): void {
        if (this.readyState >= 2) return;
        this.readyState = 3;
        network.#end(this.#link);
      }
    };
  }

  /** How many sockets and streams the server has open for this tab. */
  get openConnections(): number {
    return [...this.#links].filter(({ isServed }) => isServed).length + this.#streams.size;
  }

  cut(): void {
    this.state = 'cut';
    this.#held = [];
    this.drop();
  }

  silence(): void {
    this.state = 'silent';
  }

  restore(): void {
    this.state = 'up';
    const held = this.#held;
    this.#held = [];
    for (const run of held) run();
  }

  /** Ends all connections without a word. */
  drop(code = 1006): void {
    this.#drops += 1;
    for (const link of [...this.#links]) this.#close(link, code);
    for (const stream of [...this.#streams]) stream.lose();
  }

  fetch(url: string, init: RequestInit): Promise<Response> {
    return new Promise((resolve, reject) => {
      const fail = (message: string) => this.runInTab(() => reject(new TypeError(message)));
      const { signal } = init;
      signal?.addEventListener('abort', () => reject(new DOMException('Aborted', 'AbortError')));
      const headers = init.headers as Record<string, string>;
      if (init.method === 'PUT') {
        const { size } = init.body as Blob;
        const arrive = () => {
          if (signal?.aborted === true) return;
          const status = this.server.receive(new URL(url).pathname.split('/').at(-1) ?? '', size);
          this.#pass(() => resolve({ status } as Response), fail);
        };
        // Long ones can be cut on their way.
        const drops = this.#drops;
        const end = () => (drops === this.#drops ? this.#pass(arrive, fail) : fail('Failed to fetch'));
        this.clock.setTimer(end, size / this.bytesPerMs);
        return;
      }
      this.#pass(() => {
        const { query, variables } = JSON.parse(String(init.body)) as {
          query: string;
          variables: Record<string, unknown>;
        };
        const userId = this.#userOf(headers['authorization']);
        if (userId === undefined) {
          const body = { errors: toErrors(new ModelRefusal('UNAUTHENTICATED'), 'token') };
          return this.#pass(() => resolve(toResponse(body)), fail);
        }
        if (headers['accept'] === 'text/event-stream') {
          return this.#stream(userId, nameOf(query), variables, { resolve, fail, signal: signal ?? undefined });
        }
        const answer = this.server.execute(userId, nameOf(query), variables);
        return this.#pass(() => resolve(toResponse(answer)), fail);
      }, fail);
    });
  }

  #stream(
    userId: string,
    name: string,
    variables: Record<string, unknown>,
    {
      resolve,
      fail,
      signal,
    }: { resolve(response: Response): void; fail(message: string): void; signal: AbortSignal | undefined },
  ): void {
    // The request was given up on its way.
    if (signal?.aborted === true) return;
    const chunks: Uint8Array[] = [];
    let wake = () => {};
    let end: 'open' | 'done' | 'lost' = 'open';
    let stopModel: () => void = () => undefined;
    const stream = {
      end: () => close('done'),
      lose: () => close('lost'),
    };
    const close = (how: 'done' | 'lost') => {
      if (end !== 'open') return;
      end = how;
      this.#streams.delete(stream);
      stopModel();
      wake();
    };
    this.#streams.add(stream);
    signal?.addEventListener('abort', () => close('lost'));
    let arrivesAt = 0;
    const push = (text: string) => {
      // The bytes of a stream do not overtake each other.
      arrivesAt = Math.max(arrivesAt + 0.001, this.clock.now + this.#latency());
      const arrive = () => {
        if (this.state === 'silent') return void this.#held.push(arrive);
        if (this.state === 'cut') return close('lost');
        return this.runInTab(() => {
          chunks.push(new TextEncoder().encode(text));
          wake();
        });
      };
      this.clock.setTimer(arrive, arrivesAt - this.clock.now);
    };
    const read = async (): Promise<{ done: boolean; value?: Uint8Array }> => {
      for (;;) {
        const value = chunks.shift();
        if (value !== undefined) return { done: false, value };
        if (end === 'done') return { done: true };
        if (end === 'lost') throw new TypeError('network error');
        await new Promise<void>((resolveWake) => {
          wake = resolveWake;
        });
      }
    };
    const response = {
      status: 200,
      headers: { get: () => 'text/event-stream' },
      body: { getReader: () => ({ read }) },
    } as unknown as Response;
    this.#pass(() => this.runInTab(() => resolve(response)), fail);
    stopModel = this.server.subscribe(userId, name, variables, {
      next: (data) => push(`event: next\ndata: ${JSON.stringify({ data })}\n\n`),
      end: (errors) => {
        if (errors !== undefined) push(`event: next\ndata: ${JSON.stringify({ errors })}\n\n`);
        push('event: complete\ndata:\n\n');
      },
    });
  }

  /** Lets something happen on the other side after the way there, or fail. */
  #pass(run: () => void, fail: (message: string) => void): void {
    this.clock.setTimer(() => {
      if (this.state === 'silent') this.#held.push(() => this.#pass(run, fail));
      else if (this.state === 'cut') fail('Failed to fetch');
      else run();
    }, this.#latency());
  }

  #latency(): number {
    return 2 + this.random() * 40;
  }

  #connect(socket: ClientSocket): Link {
    const link: Link = {
      socket,
      userId: undefined,
      isServed: false,
      arrivesAtServer: 0,
      arrivesAtClient: 0,
      operations: new Map(),
    };
    this.#links.add(link);
    this.opened += 1;
    const fail = () => this.#close(link, 1006);
    this.#pass(() => {
      if (!this.allowsUpgrades) return fail();
      link.isServed = true;
      return this.#toClient(link, () => {
        if (socket.readyState !== 0) return;
        socket.readyState = 1;
        socket.onopen?.();
      });
    }, fail);
    return link;
  }

  #toServer(link: Link, frame: Frame): void {
    link.arrivesAtServer = Math.max(link.arrivesAtServer + 0.001, this.clock.now + this.#latency());
    const arrive = () => {
      if (this.state === 'silent') this.#held.push(arrive);
      else if (this.#links.has(link)) this.#serve(link, frame);
    };
    this.clock.setTimer(arrive, link.arrivesAtServer - this.clock.now);
  }

  #toClient(link: Link, run: () => void): void {
    link.arrivesAtClient = Math.max(link.arrivesAtClient + 0.001, this.clock.now + this.#latency());
    const arrive = () => {
      if (this.state === 'silent') this.#held.push(arrive);
      else if (this.#links.has(link)) this.runInTab(run);
    };
    this.clock.setTimer(arrive, link.arrivesAtClient - this.clock.now);
  }

  #answer(link: Link, frame: Frame): void {
    for (const passed of this.tamper(frame)) {
      this.#toClient(link, () => {
        if (link.socket.readyState === 1) link.socket.onmessage?.({ data: JSON.stringify(passed) });
      });
    }
  }

  #serve(link: Link, { type, id = '', payload = {} }: Frame): void {
    switch (type) {
      case 'ping':
        this.#answer(link, { type: 'pong' });
        break;
      case 'connection_init':
        link.userId = this.#userOf(payload['authorization']);
        if (link.userId === undefined) this.#toClient(link, () => this.#close(link, 4403));
        else this.#answer(link, { type: 'connection_ack' });
        break;
      case 'complete':
        link.operations.get(id)?.();
        link.operations.delete(id);
        break;
      case 'subscribe':
        if (link.userId !== undefined) this.#execute(link, id, link.userId, payload);
        break;
    }
  }

  #execute(link: Link, id: string, userId: string, payload: Record<string, unknown>): void {
    const name = nameOf(String(payload['query']));
    const variables = payload['variables'] as Record<string, unknown>;
    if (!String(payload['query']).includes('subscription ')) {
      this.#answer(link, { type: 'next', id, payload: this.server.execute(userId, name, variables) });
      this.#answer(link, { type: 'complete', id });
      return;
    }
    const stop = this.server.subscribe(userId, name, variables, {
      next: (data) => this.#answer(link, { type: 'next', id, payload: { data } }),
      end: (errors) => {
        if (errors !== undefined) this.#answer(link, { type: 'next', id, payload: { errors } });
        this.#answer(link, { type: 'complete', id });
      },
    });
    link.operations.set(id, stop);
  }

  #userOf(authorization: unknown): string | undefined {
    try {
      const [, claims = ''] = String(authorization).replace('Bearer ', '').split('.');
      const { sub, exp, iat } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, number>;
      const isGood = Number(exp) * 1_000 > this.clock.now && Number(iat) * 1_000 >= this.refusesTokensBefore;
      return isGood ? String(sub) : undefined;
    } catch {
      return undefined;
    }
  }

  /** The connection ends, and the client hears of it. */
  #close(link: Link, code: number): void {
    if (!this.#end(link)) return;
    this.runInTab(() => {
      if (link.socket.readyState === 3) return;
      link.socket.readyState = 3;
      link.socket.onclose?.({ code, reason: '' });
    });
  }

  #end(link: Link): boolean {
    for (const stop of link.operations.values()) stop();
    link.operations.clear();
    return this.#links.delete(link);
  }
}

const nameOf = (query: string): string => /(?:query|mutation|subscription) (\w+)/.exec(query)?.[1] ?? '';

const toResponse = (body: unknown): Response =>
  ({
    status: 200,
    headers: { get: () => 'application/json' },
    text: async () => JSON.stringify(body),
  }) as unknown as Response;
