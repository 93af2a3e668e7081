import type { MetricObjectWithValues, MetricValue } from 'prom-client';
import type { CompleteConfig } from '../config.js';

/** All metrics of one process. */
export type ProcessMetrics = MetricObjectWithValues<MetricValue<string>>[];

/** What a worker needs to serve. */
export interface Assignment {
  /** From 1; a worker that replaces another one has its number. */
  readonly number: number;
  /** With complete addresses, and the port that all workers share. */
  readonly config: CompleteConfig;
}

export type ToWorker =
  | ({ readonly type: 'prepare' } & Assignment)
  /** All workers of the process are prepared: accept connections. */
  | { readonly type: 'serve' }
  | { readonly type: 'stop' }
  | { readonly type: 'ping' }
  | { readonly type: 'read-metrics' }
  /** The answer to `sum-metrics`; undefined if a worker did not answer. */
  | { readonly type: 'metrics-sum'; readonly text: string | undefined };

export type ToPrimary =
  /** The worker can receive messages. Node loses those that come earlier. */
  | { readonly type: 'waiting' }
  /** The worker could serve at once. */
  | { readonly type: 'prepared' }
  | { readonly type: 'ready'; readonly port: number }
  | { readonly type: 'pong' }
  /** The worker cannot start, for a reason that the operator can change. */
  | { readonly type: 'failed'; readonly reason: string }
  /** The answer to `read-metrics`. */
  | { readonly type: 'metrics'; readonly metrics: ProcessMetrics }
  | { readonly type: 'sum-metrics' };
