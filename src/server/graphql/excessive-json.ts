import { maxValues } from './variables.js';

/** What a message has around its variables, and some more. */
const outerValues = 100;
/** A shorter text costs little, whatever it contains. */
const shortLength = 10_000;

const [quote, backslash, comma] = ['"', '\\', ','].map((character) => character.charCodeAt(0));
const [brace, bracket, endOfObject, endOfArray] = ['{', '[', '}', ']'].map((character) => character.charCodeAt(0));

/**
 * Whether a JSON text surely has more values than the variables of an operation may have. Takes a small part of the time and
 * none of the memory of parsing the text.
 */
export function isExcessive(text: string): boolean {
  if (text.length <= shortLength) return false;
  let commas = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit === quote) at = endOfString(text, at);
    else if (unit === comma) commas += 1;
    if (commas > maxValues + outerValues) return true;
  }
  return false;
}

/** The text of a JSON object with the same members, in which objects and arrays are empty. */
export function outlineOf(text: string): string {
  let outline = '';
  let from = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit === quote) at = endOfString(text, at);
    else if (unit === brace || unit === bracket) {
      depth += 1;
      if (depth === 2) outline += text.slice(from, at + 1);
    } else if (unit === endOfObject || unit === endOfArray) {
      if (depth === 2) from = at;
      depth -= 1;
    }
  }
  return depth > 1 ? outline : outline + text.slice(from);
}

/** The position of the quote that ends the string; the length of the text if there is none. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = end - 1;
    while (text.charCodeAt(escapes) === backslash) escapes -= 1;
    if ((end - escapes) % 2 === 1) return end;
  }
  return text.length;
}
