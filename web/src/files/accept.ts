/** What devices know better by the ends of names than by the types that a server finds in the bytes. */
const extensions: Readonly<Record<string, readonly string[]>> = {
  'application/x-cfb': ['.doc', '.xls', '.ppt', '.hwp', '.msg'],
  'application/zip': ['.hwpx'],
  'text/plain': ['.csv', '.md', '.json', '.xml', '.log', '.rtf', '.ics', '.vcf'],
};

/** What a file dialog offers for the types that a server takes. */
export const acceptOf = (fileTypes: readonly string[]): string =>
  fileTypes.flatMap((type) => [type, ...(extensions[type] ?? [])]).join();
