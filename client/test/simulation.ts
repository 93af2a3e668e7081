import { ModelServer } from '../conformance/model-server.js';
import { SimulatedBrowser, type SimulatedTab } from '../conformance/simulated-browser.js';
import { createToken } from '../conformance/simulated-network.js';
import { VirtualClock } from '../conformance/virtual-clock.js';
import { createFairway, type Fairway } from '../src/fairway.js';

/** A tab with its client. */
export interface Client {
  readonly tab: SimulatedTab;
  readonly fairway: Fairway;
}

/** A server, a browser and their time, the same for the same seed. */
export class Simulation {
  readonly clock = new VirtualClock();
  readonly server = new ModelServer(this.clock);
  readonly random: () => number;
  readonly browser: SimulatedBrowser;
  /** How often each tab has asked for a token. */
  tokensAsked = 0;
  getToken: (userId: string) => Promise<string | null> = async (userId) =>
    createToken(userId, this.clock.now, 3_600_000);

  constructor(seed = 1) {
    this.random = createRandom(seed);
    this.browser = new SimulatedBrowser(this.clock, this.server, this.random);
  }

  /** A tab of the user in this browser, or in another one. */
  open(userId = '4', browser = this.browser): Client {
    const tab = browser.openTab();
    const getToken = () => {
      this.tokensAsked += 1;
      return this.getToken(userId);
    };
    return { tab, fairway: createFairway({ url: 'http://server/graphql', getToken, environment: tab.environment }) };
  }

  pick<Value>(values: readonly Value[]): Value {
    return values[Math.floor(this.random() * values.length)] as Value;
  }
}

/** Mulberry32: small, and good enough to choose by. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
