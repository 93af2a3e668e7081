import { linkifyit } from 'linkify-it';
import { memo, type ReactNode } from 'react';
import styles from './text.module.css';

const finder = linkifyit({ fuzzyEmail: false, fuzzyIP: false });

/** Addresses that a browser may open: a text can contain any other. */
const safe = /^https?:\/\//i;

/** Characters that change the order of others: an address could look like another one. */
const controls = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const toEscape = (control: string): string => encodeURIComponent(control);

/** A text as it was written, its addresses as links that tell the other site nothing. */
export const Text = memo(function Text({ text }: { readonly text: string }) {
  const parts: ReactNode[] = [];
  let end = 0;
  for (const { index, lastIndex, url, raw } of finder.match(text) ?? []) {
    if (!safe.test(url)) continue;
    if (index > end) parts.push(text.slice(end, index));
    parts.push(
      <a key={index} href={url} target="_blank" rel="noreferrer noopener nofollow ugc" className={styles.link}>
        {raw.replace(controls, toEscape)}
      </a>,
    );
    end = lastIndex;
  }
  if (end < text.length) parts.push(text.slice(end));
  return (
    <span className={styles.text} dir="auto">
      {parts}
    </span>
  );
});
