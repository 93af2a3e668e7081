import type { ExecutionResult } from 'graphql';
import { type MaskError, toFormatted } from './errors.js';

/** A result of a subscription in JSON, as it is sent. */
export type PrintResult = (result: ExecutionResult) => string;

/** The most that a UTF-16 unit takes in UTF-8. */
export const maxBytesPerUnit = 3;

/** Prints results with masked errors; an error takes the place of one that is larger than an answer may be. */
export const createPrintResult =
  (maskError: MaskError, maxBytes: number): PrintResult =>
  ({ errors, ...rest }) => {
    const masked = errors === undefined ? {} : { errors: errors.map((error) => toFormatted(maskError(error))) };
    const text = JSON.stringify({ ...rest, ...masked });
    return isTooLarge(text, maxBytes)
      ? refusal(`The event is larger than ${maxBytes} bytes: select fewer fields`)
      : text;
  };

/** The answer to an operation; an error in its place where it is too large. What the operation was to change is changed. */
export const limitAnswer = (text: string, maxBytes: number): string =>
  isTooLarge(text, maxBytes) ? refusal(tooLarge(maxBytes)) : text;

/** The same for an answer in a message of graphql-transport-ws. */
export function limitMessage(text: string, maxBytes: number): string {
  if (!isTooLarge(text, maxBytes)) return text;
  const [, start] = nextMessage.exec(text) ?? [];
  return start === undefined ? text : `${start}${refusal(tooLarge(maxBytes))}}`;
}

const nextMessage = /^(\{"id":"(?:[^"\\]|\\.)*","type":"next","payload":)/;

const tooLarge = (maxBytes: number) =>
  `The operation is done, but its answer is larger than ${maxBytes} bytes: ask for fewer fields or shorter pages`;

const refusal = (message: string): string =>
  JSON.stringify({ data: null, errors: [{ message, extensions: { code: 'BAD_USER_INPUT' } }] });

/** Bytes are counted only where their number decides: each unit has one at least. */
const isTooLarge = (text: string, maxBytes: number): boolean =>
  text.length > maxBytes || (text.length * maxBytesPerUnit > maxBytes && Buffer.byteLength(text) > maxBytes);
