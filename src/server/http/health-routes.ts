import { sendJson } from './answers.js';
import { getAndHead, type Route } from './router.js';

export interface Readiness {
  readonly ready: boolean;
  readonly body: Readonly<Record<string, string>>;
}

export interface HealthOptions {
  readonly isStopping: () => boolean;
  readonly checkReadiness: () => Promise<Readiness>;
}

/** The routes for liveness and readiness: whether the process runs, and whether it should get requests. */
export const healthRoutes = ({ isStopping, checkReadiness }: HealthOptions): Route[] => [
  { methods: getAndHead, path: '/healthz', handler: (_request, response) => sendJson(response, 200, { status: 'ok' }) },
  {
    methods: getAndHead,
    path: '/readyz',
    handler: async (_request, response) => {
      if (isStopping()) return sendJson(response, 503, { status: 'stopping' });
      const { ready, body } = await checkReadiness();
      return sendJson(response, ready ? 200 : 503, body);
    },
  },
];
