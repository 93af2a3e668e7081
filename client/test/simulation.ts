import { Random } from '../../test/support/random.js';
import { ModelServer } from '../conformance/model-server.js';
import { SimulatedBrowser, type SimulatedTab } from '../conformance/simulated-browser.js';
import { createToken } from '../conformance/simulated-network.js';
import { VirtualClock } from '../conformance/virtual-clock.js';
import { createFairway, type Fairway } from '../src/fairway.js';
import { createFiles } from '../src/files/files.js';

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
    const random = new Random(seed);
    this.random = () => random.next();
    this.browser = new SimulatedBrowser(this.clock, this.server, this.random);
  }

  /** A tab of the user in this browser, or in another one. */
  open(userId = '4', browser = this.browser): Client {
    const tab = browser.openTab();
    const getToken = () => {
      this.tokensAsked += 1;
      return this.getToken(userId);
    };
    const options = { url: 'http://server/graphql', getToken, environment: tab.environment, files: createFiles() };
    return { tab, fairway: createFairway(options) };
  }

  pick<Value>(values: readonly Value[]): Value {
    return values[Math.floor(this.random() * values.length)] as Value;
  }
}
