import type { Environment } from '../src/environment/environment.js';
import type { Fairway, GetToken, TimelineMessage } from '../src/fairway.js';
import { ModelRefusal, ModelServer } from './model-server.js';
import type { Expectation, Post, Scenario, Step } from './scenario.js';
import { SimulatedBrowser, type SimulatedTab } from './simulated-browser.js';
import { createToken } from './simulated-network.js';
import { createTamper } from './tamper.js';
import { VirtualClock } from './virtual-clock.js';

/** Makes the client that is tried. */
export type CreateClient = (options: { url: string; getToken: GetToken; environment: Environment }) => Fairway;

const viewer = '4';
const withinMs = 60_000;

/** Plays one scenario in virtual time; returns what the client showed instead of what it must, and nothing if all is right. */
export async function runScenario({ rooms, steps }: Scenario, createClient: CreateClient): Promise<string[]> {
  const play = new Play(createClient);
  for (const [name, { members, messages = [] }] of Object.entries(rooms)) play.createRoom(name, members, messages);
  const problems: string[] = [];
  for (const [index, step] of steps.entries()) {
    if ('expect' in step) {
      if (await play.meets(step.expect, step.within ?? withinMs)) continue;
      problems.push(
        `step ${index + 1}: expected ${JSON.stringify(step.expect)}, got ${JSON.stringify(await play.look(step.expect))}`,
      );
      break;
    }
    await play.do(step);
  }
  await play.end();
  return problems;
}

/** One scenario while it is played. */
class Play {
  readonly #clock = new VirtualClock();
  readonly #server = new ModelServer(this.#clock);
  readonly #browser = new SimulatedBrowser(this.#clock, this.#server, () => 0.5);
  readonly #roomIds = new Map<string, string>();
  readonly #messageIds = new Map<string, string>();
  readonly #open = new Set<string | undefined>();
  #tokens: 'throw' | 'none' | 'refused' | 'ok' = 'ok';
  #tokensAsked = 0;
  #tab: SimulatedTab;
  #fairway: Fairway;

  constructor(private readonly createClient: CreateClient) {
    this.#tab = this.#browser.openTab();
    this.#fairway = this.#start();
  }

  createRoom(name: string, members: readonly string[], messages: readonly Post[]): void {
    const { id } = this.#server.createRoom(members, name);
    this.#roomIds.set(name, id);
    for (const post of messages) this.#post(id, post);
  }

  async do(step: Exclude<Step, { expect: Expectation }>): Promise<void> {
    if ('pass' in step) return this.#clock.advance(step.pass);
    if ('client' in step) await this.#doAsClient(step);
    else if ('server' in step) this.#doAsServer(step);
    else if ('page' in step) this.#tab.tell(step.page);
    else if ('tokens' in step) this.#tokens = step.tokens;
    else this.#doToNetwork(step);
    await this.#clock.advance(1);
    return undefined;
  }

  async meets(expected: Expectation, ms: number): Promise<boolean> {
    const isMet = () => Object.entries(expected).every(([key, value]) => this.#isMet(key, value, expected));
    if (!(await this.#clock.until(isMet, ms))) return false;
    return expected.notOnDisk === undefined || !(await this.#browser.readDisk()).includes(expected.notOnDisk);
  }

  /** What the client and the server show of what is expected. */
  async look(expected: Expectation): Promise<unknown> {
    const shown: Record<string, unknown> = {};
    for (const key of Object.keys(expected)) shown[key] = this.#read(key as keyof Expectation, expected);
    if (expected.notOnDisk !== undefined) shown['notOnDisk'] = await this.#browser.readDisk();
    return shown;
  }

  async end(): Promise<void> {
    this.#fairway.close();
    await this.#clock.advance(1_000);
  }

  #start(): Fairway {
    const fairway = this.createClient({
      url: 'http://server/graphql',
      environment: this.#tab.environment,
      getToken: async () => {
        this.#tokensAsked += 1;
        if (this.#tokens === 'throw') throw new Error('The token cannot be had');
        if (this.#tokens === 'none') return null;
        return createToken(viewer, this.#clock.now - (this.#tokens === 'refused' ? 7_200_000 : 0), 3_600_000);
      },
    });
    for (const name of this.#open) this.#subscribe(fairway, name);
    return fairway;
  }

  #subscribe(fairway: Fairway, name: string | undefined): void {
    if (name === undefined) fairway.rooms.subscribe(() => undefined);
    else fairway.room(this.#idOf(name)).subscribe(() => undefined);
  }

  #idOf(name: string): string {
    return this.#roomIds.get(name) ?? name;
  }

  #messageId(name: string): string {
    return this.#messageIds.get(name) ?? name;
  }

  #post(roomId: string, { from, content, count = 1, as }: Post): void {
    for (let number = 1; number <= count; number += 1) {
      const { id } = this.#server.send(roomId, from, count === 1 ? content : `${content} ${number}`);
      if (as !== undefined) this.#messageIds.set(as, id);
    }
  }

  async #doAsClient(step: Extract<Step, { client: string }>): Promise<void> {
    const fairway = this.#fairway;
    switch (step.client) {
      case 'open':
        this.#open.add(step.room);
        return this.#subscribe(fairway, step.room);
      case 'send': {
        const id = fairway.room(this.#idOf(step.room)).send(step.content);
        if (step.as !== undefined) this.#messageIds.set(step.as, id);
        return undefined;
      }
      case 'edit':
        return fairway.room(this.#idOf(step.room)).edit(this.#messageId(step.message), step.content);
      case 'delete':
        return fairway.room(this.#idOf(step.room)).delete(this.#messageId(step.message));
      case 'see':
        return fairway.room(this.#idOf(step.room)).see(this.#messageId(step.message));
      case 'goTo':
        void fairway.room(this.#idOf(step.room)).goTo(this.#messageId(step.message));
        return this.#clock.advance(1_000);
      case 'goToLatest':
        return fairway.room(this.#idOf(step.room)).goToLatest();
      case 'loadOlder':
      case 'loadNewer':
        void fairway.room(this.#idOf(step.room))[step.client]();
        return this.#clock.advance(1_000);
      case 'retry':
      case 'discard':
        return fairway.outbox[step.client](this.#messageId(step.message));
      case 'reload': {
        const { network } = this.#tab;
        this.#tab.kill();
        this.#tab = this.#browser.openTab();
        if (network.state === 'cut') this.#tab.network.cut();
        this.#fairway = this.#start();
        return undefined;
      }
      case 'signOut':
        void fairway.signOut();
        return undefined;
    }
  }

  #doAsServer(step: Extract<Step, { server: string }>): void {
    const server = this.#server;
    switch (step.server) {
      case 'send':
        this.#post(this.#idOf(step.room), step);
        break;
      case 'edit':
        server.edit(this.#messageId(step.message), '5', step.content);
        break;
      case 'delete':
        server.delete(this.#messageId(step.message), '5');
        break;
      case 'read':
        server.markRead(this.#idOf(step.room), step.by, this.#messageId(step.message));
        break;
      case 'remove':
        server.remove(this.#idOf(step.room), step.user);
        break;
      case 'restore': {
        const roomId = this.#idOf(step.room);
        server.restore(roomId, (server.rooms.get(roomId)?.seq ?? 0) - step.lose);
        break;
      }
      case 'unknownEvent':
        server.emitUnknown(this.#idOf(step.room));
        break;
      case 'refuse':
        server.refuseNext(step.operation, new ModelRefusal(step.code, step.retryAfterMs), step.times);
        break;
      case 'refuseTokens':
        this.#tab.network.refusesTokensBefore = Math.floor(this.#clock.now / 1_000) * 1_000;
        break;
    }
  }

  #doToNetwork(step: Extract<Step, { network: string }>): void {
    const { network } = this.#tab;
    switch (step.network) {
      case 'cut':
        network.cut();
        break;
      case 'silence':
        network.silence();
        break;
      case 'restore':
        network.restore();
        break;
      case 'noUpgrades':
        network.allowsUpgrades = false;
        break;
      case 'upgrades':
        network.allowsUpgrades = true;
        break;
      case 'close':
        network.drop(step.code);
        break;
      default:
        network.tamper = createTamper(step, () => {
          network.tamper = (frame) => [frame];
        });
    }
  }

  #isMet(key: string, value: unknown, expected: Expectation): boolean {
    const shown = this.#read(key as keyof Expectation, expected);
    if (key === 'tokensAtMost') return Number(shown) <= Number(value);
    if (key === 'notOnDisk') return true;
    if (key !== 'messages' && key !== 'lastMessages') return JSON.stringify(shown) === JSON.stringify(value);
    const [is, should] = [shown as readonly string[], value as readonly string[]];
    const compared = key === 'messages' ? is : is.slice(-should.length);
    return (
      compared.length === should.length && compared.every((text, index) => `${text} `.startsWith(`${should[index]} `))
    );
  }

  #read(key: keyof Expectation, { room: name }: Expectation): unknown {
    const room = name === undefined ? undefined : this.#fairway.room(this.#idOf(name)).getSnapshot();
    const connection = this.#fairway.connection.getSnapshot();
    switch (key) {
      case 'room':
        return name;
      case 'status':
        return room?.status;
      case 'messages':
      case 'lastMessages':
        return room?.messages.map(toText);
      case 'unreadCount':
        return room?.unreadCount;
      case 'firstUnread':
        return [...this.#messageIds].find(([, id]) => id === room?.firstUnreadId)?.[0] ?? null;
      case 'hasNewer':
        return room?.hasNewer;
      case 'hasOlder':
        return room?.hasOlder;
      case 'rooms':
        return this.#fairway.rooms.getSnapshot().rooms.map(({ title, unreadCount }) => [title, unreadCount]);
      case 'connection':
        return connection.status;
      case 'transport':
        return connection.transport;
      case 'stored':
        return this.#server.rooms
          .get(this.#idOf(String(name)))
          ?.messages.filter(({ deletedAt }) => deletedAt === null)
          .map(({ content }) => content);
      case 'executed': {
        const counts: Record<string, number> = {};
        for (const { name: operation } of this.#server.executed) counts[operation] = (counts[operation] ?? 0) + 1;
        return counts;
      }
      case 'tokensAtMost':
        return this.#tokensAsked;
      case 'notOnDisk':
        return undefined;
    }
  }
}

const toText = ({ content, status, unreadMemberCount }: TimelineMessage): string =>
  `${content} ${status} ${unreadMemberCount}`;
