import { createFairway, type Fairway, type GetToken } from '@fairway/client';
import { createFiles } from '@fairway/client/files';
import { settings } from '../app/settings.js';
import { endCookie } from '../files/cookie.js';
import { askHost, onSignedOut } from './host.js';

const storedKey = 'fairway.demoUser';

declare global {
  interface Window {
    /** Set by a script of the platform, where it serves the app from its own pages. */
    readonly fairwayHost?: { readonly getToken: GetToken };
  }
}

const isInFrame = window.parent !== window && (settings.frameAncestors ?? []).length > 0;

/** Whether the platform's own page signs its users in: a script beside the app, or the page around its frame. */
export const isHosted = isInFrame || window.fairwayHost !== undefined;

/** The person of the demo that was chosen in this tab, or the last one in any. */
export function readDemoUser(): number | undefined {
  try {
    const stored = sessionStorage.getItem(storedKey) ?? localStorage.getItem(storedKey);
    const userId = Number(stored);
    return stored !== null && settings.demoUsers?.some(({ id }) => id === userId) === true ? userId : undefined;
  } catch {
    return chosen;
  }
}

let chosen: number | undefined;

/** Chooses a person of the demo, or nobody. Another tab may go on as somebody else. */
export function chooseDemoUser(userId: number | undefined): void {
  chosen = userId;
  try {
    if (userId === undefined) {
      sessionStorage.removeItem(storedKey);
      localStorage.removeItem(storedKey);
    } else {
      sessionStorage.setItem(storedKey, String(userId));
      localStorage.setItem(storedKey, String(userId));
    }
  } catch {
    // Without storage it holds until the next reload.
  }
}

let lastToken: string | undefined;

/** The token that the client has asked for last: for what is no operation of it. */
export const pageToken = (): string | undefined => lastToken;

async function getToken(): Promise<string | null> {
  if (window.fairwayHost !== undefined) return window.fairwayHost.getToken();
  if (isInFrame) return askHost(settings.frameAncestors ?? []);
  const userId = readDemoUser();
  if (userId === undefined) return null;
  const response = await fetch('dev/login', { method: 'POST', body: JSON.stringify({ userId }) });
  if (response.status >= 500) throw new Error('The login does not answer');
  if (!response.ok) return null;
  const { token } = (await response.json()) as { token: string };
  return token;
}

/** The client of the whole page. A platform that says that nobody is signed in leaves nothing of the last user here. */
export function createPageClient(): Fairway {
  let isKnown = false;
  /** Also where this page does not know whose cookie it is. */
  const leave = () => {
    endCookie();
    void fairway.signOut().catch(() => undefined);
  };
  const fairway = createFairway({
    files: createFiles(),
    url: new URL('graphql', document.baseURI).href,
    getToken: async () => {
      const token = await getToken();
      lastToken = token ?? undefined;
      if (token === null && isHosted) setTimeout(leave);
      return token;
    },
  });
  fairway.viewer.subscribe(() => {
    const hasLeft = isKnown && fairway.viewer.getSnapshot() === null;
    isKnown = fairway.viewer.getSnapshot() !== null;
    // Whoever uses this browser next reads no files of the user before.
    if (hasLeft) endCookie();
  });
  if (isInFrame) onSignedOut(settings.frameAncestors ?? [], leave);
  return fairway;
}
