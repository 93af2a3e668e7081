import type { Channel, Environment, Lock } from '../environment/environment.js';

/** A hidden tab keeps its connection this long. */
const hiddenMs = 5 * 60_000;

interface TabsOptions {
  readonly environment: Environment;
  /** Shared by all tabs of one user. */
  readonly name: string;
  /** Lets the connection go, or takes it up again. */
  setAway(isAway: boolean): void;
  /** The user has signed out in another tab. */
  onSignOut(): void;
}

/** The tabs of a browser share the few sockets of a user: hidden ones let theirs go, and one of them keeps its own. */
export interface Tabs {
  /** The page was hidden or shown. */
  changed(isVisible: boolean): void;
  /** The server has refused a socket: the hidden tabs let theirs go now. */
  makeRoom(): void;
  /** The user has signed out in this tab: the others end, too. */
  signOut(): void;
  close(): void;
}

export function createTabs({ environment, name, setAway, onSignOut }: TabsOptions): Tabs {
  let cancelHidden = () => {};
  let keeper: Lock | undefined;
  let waiting: AbortController | undefined;
  let isVisible = environment.page.isVisible();
  const letGo = () => {
    if (isVisible || waiting !== undefined || keeper !== undefined) return;
    const mine = new AbortController();
    waiting = mine;
    const keep = async () => {
      const request = { signal: mine.signal };
      const now = await environment.lock(`${name}:keeper`, { ...request, ifAvailable: true });
      if (now === undefined && !mine.signal.aborted) setAway(true);
      const lock = now ?? (await environment.lock(`${name}:keeper`, request));
      if (lock === undefined) return;
      if (mine.signal.aborted) return lock.release();
      keeper = lock;
      setAway(false);
    };
    keep().catch(() => undefined);
  };
  const take = () => {
    cancelHidden();
    waiting?.abort();
    waiting = undefined;
    keeper?.release();
    keeper = undefined;
  };
  const hide = () => {
    cancelHidden();
    cancelHidden = environment.setTimer(letGo, hiddenMs);
  };
  const channel: Channel = environment.channel(`${name}:tabs`, (message) => {
    if (message === 'make room') letGo();
    if (message === 'sign out') onSignOut();
  });
  if (!isVisible) hide();
  return {
    changed: (isVisibleNow) => {
      isVisible = isVisibleNow;
      if (!isVisible) return hide();
      take();
      setAway(false);
    },
    makeRoom: () => channel.post('make room'),
    signOut: () => channel.post('sign out'),
    close: () => {
      take();
      channel.close();
    },
  };
}
