import { randomUUID } from 'node:crypto';
import type { NatsConnection, Subscription } from '@nats-io/transport-node';
import type { Replies } from './replies.js';

/** The service's identity for `nats service` and other tools: NATS's ADR-32. */
export interface ServiceIdentity {
  readonly name: string;
  readonly version: string;
  readonly description: string;
}

/** Counters for the requests on one subject of this instance. */
export interface EndpointStats {
  readonly name: string;
  readonly subject: string;
  readonly queueGroup: string;
  requests: number;
  errors: number;
  lastError: string;
  processingMs: number;
}

/** Answers `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`: for all services, for this service's name, and for this instance's id. */
export function createDiscovery(
  { name, version, description }: ServiceIdentity,
  endpoints: readonly EndpointStats[],
  replies: Replies,
) {
  const started = new Date().toISOString();
  const identity = { name, id: randomUUID(), version, metadata: {} };
  const answers: Readonly<Record<string, () => DiscoveryAnswer>> = {
    PING: () => ({ type: 'io.nats.micro.v1.ping_response', ...identity }),
    INFO: () => ({
      type: 'io.nats.micro.v1.info_response',
      ...identity,
      description,
      endpoints: endpoints.map(describeEndpoint),
    }),
    STATS: () => ({
      type: 'io.nats.micro.v1.stats_response',
      ...identity,
      started,
      endpoints: endpoints.map((endpoint) => ({ ...describeEndpoint(endpoint), ...describeStats(endpoint) })),
    }),
  };
  return (connection: NatsConnection): Subscription[] =>
    Object.entries(answers).flatMap(([verb, answer]) =>
      [`$SRV.${verb}`, `$SRV.${verb}.${name}`, `$SRV.${verb}.${name}.${identity.id}`].map((subject) =>
        connection.subscribe(subject, {
          callback: (error, message) => {
            if (error !== null || !replies.isWanted(message)) return;
            replies.send(message, encodeWithin(answer(), connection.info?.max_payload ?? Number.POSITIVE_INFINITY));
          },
        }),
      ),
    );
}

/** Encodes as many endpoints as fit; the metadata contain how many are left out. */
function encodeWithin(answer: DiscoveryAnswer, maxBytes: number): string {
  let text = JSON.stringify(answer);
  const all = answer.endpoints ?? [];
  for (let count = all.length - 1; Buffer.byteLength(text) > maxBytes && count >= 0; count -= 1) {
    const metadata = { endpoints_left_out: String(all.length - count) };
    text = JSON.stringify({ ...answer, metadata, endpoints: all.slice(0, count) });
  }
  return text;
}

interface DiscoveryAnswer {
  readonly type: string;
  readonly metadata: object;
  readonly endpoints?: readonly object[];
}

const describeEndpoint = ({ name, subject, queueGroup }: EndpointStats) => ({
  name,
  subject,
  queue_group: queueGroup,
  metadata: {},
});

/** Times in nanoseconds. */
function describeStats({ requests, errors, lastError, processingMs }: EndpointStats) {
  const processing = Math.round(processingMs * 1_000_000);
  return {
    num_requests: requests,
    num_errors: errors,
    last_error: lastError,
    processing_time: processing,
    average_processing_time: requests === 0 ? 0 : Math.round(processing / requests),
  };
}
