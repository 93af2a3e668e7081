import { timingSafeEqual } from 'node:crypto';
import { Registry } from 'prom-client';
import { refuse } from './answers.js';
import { isOwnName } from './hosts.js';
import { getAndHead, type Route } from './router.js';

export interface MetricsOptions {
  /** Returns the metrics in Prometheus' text format. */
  readonly read: () => Promise<string>;
  /** Readers must send this as a bearer token. */
  readonly token: string | undefined;
  /** The name or address that this server listens on. */
  readonly host: string;
}

/**
 * Serves the metrics to readers with the token; without a configured token, only under this machine's own
 * names.
 */
export const metricsRoutes = ({ read, token, host }: MetricsOptions): Route[] => [
  {
    methods: getAndHead,
    path: '/metrics',
    handler: async ({ headers }, response) => {
      if (token === undefined && !isOwnName(headers.host, host)) {
        return refuse(response, { code: 'FORBIDDEN', message: 'Metrics are not served under this name' });
      }
      if (token !== undefined && !isSame(headers.authorization ?? '', `Bearer ${token}`)) {
        return refuse(response, { code: 'UNAUTHENTICATED', message: 'METRICS_TOKEN is needed as a bearer token' });
      }
      const text = await read();
      response.writeHead(200, { 'content-type': Registry.PROMETHEUS_CONTENT_TYPE, 'cache-control': 'no-store' });
      response.end(text);
    },
  },
];

const isSame = (given: string, wanted: string): boolean => {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
};
