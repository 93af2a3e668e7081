import { ChatError } from '../../../domain/errors.js';
import type { TypingState } from '../../../domain/typing.js';
import { PullSource } from '../pull-source.js';
import { isSameList } from './typing-list.js';

export interface TypingGrant {
  readonly viewerId: number;
  /** The head of the room's log when the membership was checked. */
  readonly head: number;
  readonly epoch: string;
  readonly isMember: () => Promise<boolean>;
  readonly isHeldBack: () => boolean;
}

/** The current list in the room, as the viewer sees it, after everything that may have ended their membership. */
type FindState = (viewerId: number) => TypingState;

/** The minimum time between two lists to one subscriber, so that there are at most four a second. */
const minGapMs = 300;

/**
 * One subscription: the current list first, then each list that differs from the previous one, without the viewer. Another
 * list is returned without a promise, since most of them go to many subscribers.
 */
export class TypingWatcher extends PullSource<TypingState> {
  readonly #grant: TypingGrant;
  readonly #findState: FindState;
  readonly #onEnd: () => void;
  #sent: TypingState | undefined;
  /** When the last list had been sent, which the subscriber shows by asking for more. Undefined until then. */
  #sentAt: number | undefined = Number.NEGATIVE_INFINITY;
  #isDoubted = false;
  #gap: NodeJS.Timeout | undefined;

  /** @param findState - may call `doubt` of this watcher */
  constructor(grant: TypingGrant, findState: FindState, onEnd: () => void) {
    super();
    this.#grant = grant;
    this.#findState = findState;
    this.#onEnd = onEnd;
  }

  get viewerId(): number {
    return this.#grant.viewerId;
  }

  /** Makes the next read check whether the viewer is still a member. */
  doubt(): void {
    this.#isDoubted = true;
    this.wake();
  }

  override peek(): TypingState | undefined {
    if (this.isEnded || this.isHeldBack) return undefined;
    this.#sentAt ??= performance.now();
    const state = this.#findState(this.viewerId);
    if (this.#isDoubted || (this.#sent !== undefined && isSameList(this.#sent.userIds, state.userIds)))
      return undefined;
    return this.#isGapOver(this.#sentAt) ? state : undefined;
  }

  override skip(shown: TypingState): void {
    this.#sent = shown;
    this.#sentAt = undefined;
  }

  /** The end of holding back wakes nobody, and the membership is checked by `next()`. */
  override get isIdle(): boolean {
    return !this.isHeldBack && !this.#isDoubted;
  }

  protected override get isHeldBack(): boolean {
    return this.#grant.isHeldBack();
  }

  protected async take(): Promise<undefined> {
    if (!this.#isDoubted) return;
    this.#isDoubted = false;
    if (!(await this.#grant.isMember())) throw new ChatError('FORBIDDEN', 'Your membership in this room has ended');
    // Looks again for a list.
    this.wake();
  }

  protected onEnd(): void {
    clearTimeout(this.#gap);
    this.#onEnd();
  }

  /** If not, wakes the subscriber when it is. */
  #isGapOver(sentAt: number): boolean {
    const waitMs = sentAt + minGapMs - performance.now();
    if (waitMs <= 0) return true;
    this.#gap ??= setTimeout(() => {
      this.#gap = undefined;
      this.wake();
    }, waitMs);
    return false;
  }
}
