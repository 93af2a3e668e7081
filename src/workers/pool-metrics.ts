import { Counter, Gauge, Registry } from 'prom-client';

export interface PoolMetricSources {
  readonly serving: () => number;
  readonly replaced: () => number;
}

/** What the primary process knows of its workers. */
export function createPoolMetrics({ serving, replaced }: PoolMetricSources): Registry {
  const registry = new Registry();
  new Gauge({
    name: 'fairway_workers',
    help: 'Workers that serve, if `WORKERS` is more than 1',
    registers: [registry],
    collect() {
      this.set(serving());
    },
  });
  new Counter({
    name: 'fairway_workers_replaced_total',
    help: 'Workers that ended by themselves and were replaced, if `WORKERS` is more than 1',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(replaced());
    },
  });
  return registry;
}
