import type { Words } from './words.js';

type Kind = 'time' | 'day' | 'shortDay' | 'date' | 'full';

const options: Readonly<Record<Kind, Intl.DateTimeFormatOptions>> = {
  time: { hour: 'numeric', minute: '2-digit' },
  day: { year: 'numeric', month: 'long', day: 'numeric', weekday: 'long' },
  shortDay: { month: 'short', day: 'numeric' },
  date: { year: 'numeric', month: 'numeric', day: 'numeric' },
  full: { dateStyle: 'full', timeStyle: 'short' },
};

/** Making a format takes longer than using it a thousand times. */
const formats = new Map<string, Intl.DateTimeFormat>();

function format(kind: Kind, language: Words['language'], date: Date): string {
  const key = `${language} ${kind}`;
  let made = formats.get(key);
  if (made === undefined) {
    made = new Intl.DateTimeFormat(language, options[kind]);
    formats.set(key, made);
  }
  return made.format(date);
}

/** The day of a moment where the reader is: equal for two moments of one day. */
export const dayOf = (iso: string): string => new Date(iso).toDateString();

/** `3:07 PM` */
export const formatTime = (iso: string, { language }: Words): string => format('time', language, new Date(iso));

/** `Monday, November 30, 2026` */
export const formatDay = (iso: string, { language }: Words): string => format('day', language, new Date(iso));

/** A moment with its day, for a tooltip. */
export const formatFull = (iso: string, { language }: Words): string => format('full', language, new Date(iso));

/** The time if it was today, the day if it was this year, otherwise the date. */
export function formatRecent(iso: string, { language }: Words, now: Date): string {
  const date = new Date(iso);
  if (date.toDateString() === now.toDateString()) return format('time', language, date);
  return format(date.getFullYear() === now.getFullYear() ? 'shortDay' : 'date', language, date);
}
