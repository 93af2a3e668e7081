import { patienceMs, waitFor } from './wait-for.js';

/** The answer of `/readyz`. */
export interface Readiness {
  readonly status: 'ok' | 'degraded' | 'unready';
  readonly postgres: string;
  readonly nats: string;
  readonly streams: string;
  readonly outbox: string;
}

export async function readReadiness({ url }: { readonly url: string }): Promise<Readiness> {
  const response = await fetch(`${url}/readyz`);
  return (await response.json()) as Readiness;
}

/** Resolves once `/readyz` returns these values. */
export function becomesReady(
  instance: { readonly url: string },
  parts: Partial<Readiness>,
  timeoutMs = patienceMs,
): Promise<Readiness> {
  const names = Object.keys(parts) as (keyof Readiness)[];
  return waitFor(
    async () => {
      const readiness = await readReadiness(instance);
      return names.every((name) => readiness[name] === parts[name]) ? readiness : undefined;
    },
    { what: `readiness ${JSON.stringify(parts)}`, timeoutMs, pollMs: 100 },
  );
}
