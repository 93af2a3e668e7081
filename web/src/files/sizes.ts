import type { Words } from '../words/words.js';

const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'] as const;

/** `1.2 MB` */
export function formatBytes(bytes: number, { language }: Words): string {
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1);
  const format = {
    style: 'unit',
    unit: units[power] ?? 'byte',
    // "193 bytes", but "1.2 MB".
    unitDisplay: power === 0 ? 'long' : 'short',
    maximumFractionDigits: 1,
  } as const;
  return new Intl.NumberFormat(language, format).format(bytes / 1_024 ** power);
}
