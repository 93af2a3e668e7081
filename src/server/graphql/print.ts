import type { ExecutionResult } from 'graphql';
import { type MaskError, toFormatted } from './errors.js';

/** Prints a result of a subscription as JSON. */
export type PrintResult = (result: ExecutionResult) => string;

/** The maximum number of bytes of a UTF-16 unit in UTF-8. */
export const maxBytesPerUnit = 3;

/** Prints results with masked errors; replaces a result that is too large by an error. */
export const createPrintResult =
  (maskError: MaskError, maxBytes: number): PrintResult =>
  ({ errors, ...rest }) => {
    const masked = errors === undefined ? {} : { errors: errors.map((error) => toFormatted(maskError(error))) };
    const text = JSON.stringify({ ...rest, ...masked });
    return isTooLarge(text, maxBytes)
      ? refusal(`The event is larger than ${maxBytes} bytes: select fewer fields`)
      : text;
  };

/** Replaces the answer of an operation by an error if it is too large. The operation is done nevertheless. */
export const limitAnswer = (text: string, maxBytes: number): string =>
  isTooLarge(text, maxBytes) ? tooLargeAnswer(maxBytes) : text;

/** The same for an answer in a message of graphql-transport-ws. */
export function limitMessage(text: string, maxBytes: number): string {
  if (!isTooLarge(text, maxBytes)) return text;
  const [, start] = nextMessage.exec(text) ?? [];
  return start === undefined ? text : `${start}${tooLargeAnswer(maxBytes)}}`;
}

const nextMessage = /^(\{"id":"(?:[^"\\]|\\.)*","type":"next","payload":)/;

/** The message of an answer that is too large. */
export const tooLargeMessage = (maxBytes: number): string =>
  `The operation is done, but its answer is larger than ${maxBytes} bytes: ask for fewer fields or shorter pages`;

/** Replaces an answer that is too large. */
export const tooLargeAnswer = (maxBytes: number): string => refusal(tooLargeMessage(maxBytes));

const refusal = (message: string): string =>
  JSON.stringify({ data: null, errors: [{ message, extensions: { code: 'BAD_USER_INPUT' } }] });

/** Counts the bytes only if the number of units does not decide: each unit has at least one byte. */
const isTooLarge = (text: string, maxBytes: number): boolean =>
  text.length > maxBytes || (text.length * maxBytesPerUnit > maxBytes && Buffer.byteLength(text) > maxBytes);
