/**
 * Normalizes an origin, so that equal origins are equal strings: `wss` becomes `https` and `ws` becomes `http`, default ports
 * are removed, letters become lower case. Schemes of apps (`capacitor://localhost`) are kept. Null if the text is no origin.
 */
export function normalizeOrigin(text: string): string | null {
  const [, scheme, authority] = /^([a-z][a-z\d+.-]*):\/\/([^/?#@*\s]*)$/i.exec(text) ?? [];
  if (scheme === undefined || authority === undefined) return null;
  const web = webSchemes.get(scheme.toLowerCase());
  if (web === undefined) return `${scheme}://${authority}`.toLowerCase();
  const url = `${web}://${authority}`;
  return authority !== '' && URL.canParse(url) ? new URL(url).origin : null;
}

const webSchemes: ReadonlyMap<string, string> = new Map([
  ['http', 'http'],
  ['ws', 'http'],
  ['https', 'https'],
  ['wss', 'https'],
]);
