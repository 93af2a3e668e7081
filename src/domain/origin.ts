/**
 * An origin in one spelling, so that two that mean the same are the same text: `wss` stands for `https`, default ports are
 * left out, letters are small. Apps have schemes of their own (`capacitor://localhost`). Null where the text is no origin.
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
