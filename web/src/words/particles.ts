const firstSyllable = 0xac00;
const lastSyllable = 0xd7a3;
const finals = 28;

/** The number of the final consonant of a text's last Hangul syllable: 0 for none; undefined if it does not end in Hangul. */
function finalOf(text: string): number | undefined {
  const code = [...text.trim()].at(-1)?.codePointAt(0) ?? 0;
  return code >= firstSyllable && code <= lastSyllable ? (code - firstSyllable) % finals : undefined;
}

/** The digits and letters whose Korean names end in a consonant. */
const closed = /[0136-8lmnr]$/i;

const isClosed = (text: string): boolean => {
  const final = finalOf(text);
  return final === undefined ? closed.test(text.trim()) : final !== 0;
};

/** 은 or 는, for a text that stands in quotation marks before it. */
export const topic = (text: string): string => (isClosed(text) ? '은' : '는');

/** 을 or 를. */
export const object = (text: string): string => text + (isClosed(text) ? '을' : '를');
