import type { Environment } from './environment/environment.js';
import { FairwayError } from './errors.js';

/**
 * The same answer, if it comes in time.
 * @throws {FairwayError} NO_ANSWER
 */
export function inTime<Value>(environment: Environment, answer: Promise<Value>, ms: number): Promise<Value> {
  return new Promise((resolve, reject) => {
    const cancel = environment.setTimer(() => reject(new FairwayError('NO_ANSWER', 'No answer came in time')), ms);
    answer.finally(cancel).then(resolve, reject);
  });
}
