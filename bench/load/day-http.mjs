import { Agent, request } from 'node:http';

/** The connections of all apps together, kept open between requests. There is no bound: an open loop never waits for one. */
const agent = new Agent({ keepAlive: true, maxFreeSockets: 256 });
const timeoutMs = 60_000;

/**
 * Resolves with the parsed answer.
 * @param {number} port
 * @param {string} token
 * @param {import('./day-dialects.mjs').HttpCall} call
 * @returns {Promise<any>}
 */
export function ask(port, token, { method, path, body }) {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${token}`,
      accept: 'application/json',
      ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
    };
    const sent = request({ agent, host: '127.0.0.1', port, method, path, headers, timeout: timeoutMs }, (response) => {
      /** @type {Buffer[]} */
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const answer = response.statusCode === 200 ? JSON.parse(text) : undefined;
        if (answer === undefined || answer.errors !== undefined || answer.success === false) reject(new Error(text));
        else resolve(answer);
      });
    });
    sent.on('timeout', () => sent.destroy(new Error(`No answer after ${timeoutMs} ms`)));
    sent.on('error', reject);
    sent.end(body);
  });
}
