/** What the server says to its page. */
export interface Settings {
  /** The people of the demo, who sign in without a password; absent outside the embedded mode. */
  readonly demoUsers?: readonly { readonly id: number; readonly name: string }[];
  /** Origins of pages that may show the app in a frame, and hand it a token. */
  readonly frameAncestors?: readonly string[];
  /** Origins from which pictures are loaded without asking. */
  readonly imageOrigins?: readonly string[];
}

/** Read once from the page: its content security policy allows no inline script, but it allows data. */
export const settings: Settings = readSettings();

function readSettings(): Settings {
  const text = document.getElementById('settings')?.textContent ?? '';
  try {
    return JSON.parse(text) as Settings;
  } catch {
    return {};
  }
}

/** Whether a picture may be loaded at once. Any other address would learn who reads what. */
export function isTrustedPicture(url: string): boolean {
  try {
    return settings.imageOrigins?.includes(new URL(url).origin) === true;
  } catch {
    return false;
  }
}
