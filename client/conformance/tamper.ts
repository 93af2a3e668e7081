import type { Step } from './scenario.js';

/** A frame of graphql-transport-ws. */
export interface Frame {
  readonly type: string;
  readonly id?: string;
  readonly payload?: Record<string, unknown>;
}

type Tampering = Extract<Step, { network: 'loseEvent' | 'repeatEvent' | 'swapEvents' | 'loseAnswer' }>;

/**
 * Changes what passes on its way to the client, once.
 * @param done - called when it has happened
 */
export function createTamper(step: Tampering, done: () => void): (frame: Frame) => readonly Frame[] {
  const field =
    step.network === 'loseAnswer' ? step.operation.charAt(0).toLowerCase() + step.operation.slice(1) : 'roomEvents';
  let kept: Frame | undefined;
  return (frame) => {
    const { data } = (frame.payload ?? {}) as { data?: Record<string, unknown> };
    if (data === undefined || !(field in data)) return [frame];
    if (step.network === 'loseEvent' || step.network === 'loseAnswer') {
      done();
      return [];
    }
    if (kept === undefined) {
      kept = frame;
      return step.network === 'swapEvents' ? [] : [frame];
    }
    done();
    // Repeated behind the next one, where an older state would come last; or swapped with it.
    return [frame, kept];
  };
}
