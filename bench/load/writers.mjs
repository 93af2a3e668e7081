import { documents } from '../support/documents.mjs';
import { HttpConnection } from '../support/http-connection.mjs';
import { serveCalls } from '../support/worker.mjs';

const text = '내일 아침 일곱 시에 정류장에서 만나요. 비가 오면 여덟 시로 미뤄요.';

/** @type {ReturnType<typeof setInterval>[]} */
let timers = [];

serveCalls({
  /**
   * Writes into a room until `stop`, as people who take turns.
   * @param {number} port
   * @param {string[]} tokens
   * @param {string} roomId
   * @param {number} perSecond of all together
   */
  start: (port, tokens, roomId, perSecond) => {
    const interval = (1_000 * tokens.length) / perSecond;
    timers = tokens.map((token) => {
      const connection = new HttpConnection({ port, path: '/graphql', token });
      let count = 0;
      let isBusy = false;
      return setInterval(async () => {
        if (isBusy) return;
        isBusy = true;
        count += 1;
        const input = { roomId, content: text.slice(0, 3 + ((count * 7) % text.length)) };
        await connection.post(JSON.stringify({ query: documents.sendMessage, variables: { input } }));
        isBusy = false;
      }, interval);
    });
  },
  stop: () => {
    for (const timer of timers) clearInterval(timer);
  },
});
