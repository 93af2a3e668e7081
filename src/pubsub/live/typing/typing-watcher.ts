import { ChatError } from '../../../domain/errors.js';
import type { TypingState } from '../../../domain/typing.js';
import type { LoadGauge } from '../load-gauge.js';
import { PullSource } from '../pull-source.js';
import { isSameList } from './typing-list.js';

export interface TypingGrant {
  readonly viewerId: number;
  /** The head of the room's log when the membership was checked. */
  readonly head: number;
  readonly epoch: string;
  /** Whether the room was open for writing then. */
  readonly isOpen: boolean;
  readonly isMember: () => Promise<boolean>;
  /** Whether the peer is too slow for what is sent to it. */
  readonly isBehind: () => boolean;
}

export interface TypingWatcherOptions {
  readonly load: LoadGauge;
  /**
   * The current list in the room, as the viewer sees it, after everything that may have ended their membership. May call
   * `doubt` of the watcher.
   */
  readonly findState: (viewerId: number) => TypingState;
  readonly onEnd: () => void;
}

/**
 * One subscription: the current list first, then each list that differs from the previous one, without the viewer. Another
 * list is returned without a promise, since most of them go to many subscribers.
 */
export class TypingWatcher extends PullSource<TypingState> {
  readonly #grant: TypingGrant;
  readonly #options: TypingWatcherOptions;
  #sent: TypingState | undefined;
  /** When the last list had been sent, which the subscriber shows by asking for more. Undefined until then. */
  #sentAt: number | undefined = Number.NEGATIVE_INFINITY;
  #isDoubted = false;
  #mayWrite: boolean;

  constructor(grant: TypingGrant, options: TypingWatcherOptions) {
    super();
    this.#grant = grant;
    this.#mayWrite = grant.isOpen;
    this.#options = options;
  }

  get viewerId(): number {
    return this.#grant.viewerId;
  }

  /** Whether the viewer may write in the room, unless it has been closed since. False if that is not known for certain. */
  get mayWrite(): boolean {
    return this.#mayWrite;
  }

  /** Makes the next read check whether the viewer is still a member. */
  doubt(): void {
    this.#isDoubted = true;
    this.#mayWrite = false;
    this.wake();
  }

  override peek(): TypingState | undefined {
    if (this.isEnded || this.isHeldBack) return undefined;
    this.#sentAt ??= performance.now();
    const state = this.#options.findState(this.viewerId);
    if (this.#isDoubted || (this.#sent !== undefined && isSameList(this.#sent.userIds, state.userIds)))
      return undefined;
    return this.#options.load.isDue('typing', this.#sentAt, this) ? state : undefined;
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
    return this.#grant.isBehind();
  }

  protected async take(): Promise<undefined> {
    if (!this.#isDoubted) return;
    this.#isDoubted = false;
    if (!(await this.#grant.isMember())) throw new ChatError('FORBIDDEN', 'Your membership in this room has ended');
    // Looks again for a list.
    this.wake();
  }

  protected onEnd(): void {
    const { load, onEnd } = this.#options;
    load.forget(this);
    onEnd();
  }
}
