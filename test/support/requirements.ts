import { describe, inject } from 'vitest';
import { whyNoFarHost } from './far-host.js';

/** `describe`, reported as skipped with the reason if there is no nats-server and none could be installed. */
export const describeWithNats = describeUnless(inject('natsMissing'));

/** `describe`, reported as skipped with the reason if nats-server or Chromium is missing. */
export const describeWithBrowser = describeUnless(inject('natsMissing') || inject('chromiumMissing'));

/** `describe`, reported as skipped with the reason if nats-server or PgBouncer is missing. */
export const describeWithPooler = describeUnless(inject('natsMissing') || inject('poolerMissing'));

/** `describe`, reported as skipped with the reason if OpenStack Swift is missing. */
export const describeWithS3 = describeUnless(inject('s3Missing'));

/** `describe`, reported as skipped with the reason if nats-server or OpenStack Swift is missing. */
export const describeWithNatsAndS3 = describeUnless(inject('natsMissing') || inject('s3Missing'));

/** `describe`, reported as skipped with the reason if nats-server is missing or no other host can be simulated. */
export const describeWithFarHost = (name: string, body: () => void): void =>
  describeUnless(inject('natsMissing') || whyNoFarHost())(name, body);

function describeUnless(reason: string) {
  return (name: string, body: () => void): void => {
    if (reason === '') describe(name, body);
    else describe.skip(`${name} [skipped: ${reason}]`, body);
  };
}
