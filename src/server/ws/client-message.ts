import { ChatError } from '../../domain/errors.js';
import { isExcessive, outlineOf } from '../graphql/excessive-json.js';
import { excessiveVariables } from '../graphql/variables.js';

const maxIdLength = 100;
/** A pong repeats the payload of its ping up to this size. */
const maxEchoLength = 1_000;

/**
 * Parses a message for graphql-ws, which accepts parsed messages, too. Drops fields that are not part of the protocol,
 * because graphql-ws keeps a message as long as its operation lives. Returns an invalid message as it is; graphql-ws closes
 * the socket. A message with too many values is not parsed: its operation gets `excessiveVariables`, which are refused.
 * @throws {ChatError} BAD_USER_INPUT if the id of an operation is too long to be kept and repeated
 */
export function readMessage(text: string): unknown {
  const isTooMuch = isExcessive(text);
  const message = parseIfJson(isTooMuch ? outlineOf(text) : text);
  if (!isObject(message)) return isTooMuch ? '' : text;
  const { type, id, payload } = message;
  if (typeof id === 'string' && id.length > maxIdLength) {
    throw new ChatError('BAD_USER_INPUT', `The id of an operation may have at most ${maxIdLength} characters`);
  }
  if (type === 'connection_init') return { type, payload };
  if (type === 'subscribe' && isTooMuch) return { type, id, payload: { query: '', variables: excessiveVariables } };
  if (type === 'subscribe') return { type, id, payload: isObject(payload) ? onlyRequest(payload) : payload };
  return { type, id, payload: text.length <= maxEchoLength ? payload : undefined };
}

function onlyRequest({ query, operationName, variables, documentId, extensions }: Record<string, unknown>) {
  const persistedQuery = isObject(extensions) ? extensions.persistedQuery : undefined;
  if (documentId == null && persistedQuery == null) return { query, operationName, variables };
  // graphql-ws refuses an operation without a text.
  return { query: query ?? '', operationName, variables, documentId, extensions: { persistedQuery } };
}

function parseIfJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
