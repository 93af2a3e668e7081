import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './run-command.mjs';

const folder = join(root, 'clients/backends');

/** A subject in a program, or in a page. */
const subjectPattern = /(["`])((?:chat|booking)\.[\w.*-]+)\1/g;
/** The fields of a payload: `"userId": 4` in Python and Go, `.put("userId", 4)` with Jackson. */
const fieldPattern = /"(\w+)":|\.(?:put|putNull|set)\(\s*"(\w+)"/g;
const stringPattern = /"(?:[^"\\\n]|\\.)*"/g;

/**
 * The fields of each subject that answers or is consumed, those of nested objects too; null for one that is published.
 * @typedef {{ required: string[], known: Set<string> } | null} Payload
 */

/**
 * Checks the programs in `clients/backends`, which no test compiles, against the payloads of the server's subjects.
 * @returns {Promise<string>} the subjects and fields that do not exist, and the fields that are missing, one per line
 */
export async function findBackendClientProblems() {
  const payloads = await listPayloads();
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files
    .map(({ parentPath, name }) => join(parentPath, name))
    .flatMap((path) => {
      const text = readFileSync(path, 'utf8');
      const found = [...text.matchAll(subjectPattern)].flatMap((match) =>
        checkSubject(match[2] ?? '', match[1] === '`' ? undefined : fieldsAfter(text, match.index), payloads),
      );
      return found.map((problem) => `${relative(root, path)}: ${problem}`);
    })
    .join('\n');
}

/**
 * @param {string} subject
 * @param {string[] | undefined} fields undefined in a page, which names subjects only
 * @param {Map<string, Payload>} payloads
 */
function checkSubject(subject, fields, payloads) {
  const payload = payloads.get(subject);
  if (payload === undefined) return [`there is no subject ${subject}`];
  if (payload === null || fields === undefined) return [];
  return [
    ...fields.filter((field) => !payload.known.has(field)).map((field) => `${subject} has no field ${field}`),
    ...payload.required
      .filter((field) => !fields.includes(field))
      .map((field) => `${subject} needs the field ${field}`),
  ];
}

/**
 * @param {string} text
 * @param {number} start of a subject, which is an argument of a call
 * @returns {string[]} the names of fields in the arguments after it
 */
function fieldsAfter(text, start) {
  // Brackets in strings are not counted.
  const blank = text.slice(start).replace(stringPattern, (string) => '_'.repeat(string.length));
  let depth = 0;
  let end = 0;
  for (; end < blank.length && depth >= 0; end += 1) {
    if ('([{'.includes(blank.charAt(end))) depth += 1;
    if (')]}'.includes(blank.charAt(end))) depth -= 1;
  }
  const call = text.slice(start, start + end);
  return [...call.matchAll(fieldPattern)].map(([, literal, method]) => literal ?? method ?? '');
}

/** @returns {Promise<Map<string, Payload>>} */
async function listPayloads() {
  /** @type {typeof import('../src/config.js')} */
  const { environment } = await load('config.js');
  /** @type {typeof import('../src/backends/serve-backends.js')} */
  const { services } = await load('backends/serve-backends.js');
  /** @type {typeof import('../src/backends/booking-events.js')} */
  const { event } = await load('backends/booking-events.js');
  /** @type {typeof import('../src/pubsub/nats/streams.js')} */
  const { streams } = await load('pubsub/nats/streams.js');
  const events = environment.shape.BOOKING_EVENTS_SUBJECTS.parse(undefined);
  return new Map([
    ...streams.flatMap(({ subjects }) => subjects.map((subject) => /** @type {const} */ ([subject, null]))),
    ...services.map(({ subject, payload }) => /** @type {const} */ ([subject, describe(payload)])),
    ...events.map((subject) => /** @type {const} */ ([subject, describe(event)])),
    // All events of a stream.
    ...events.map((subject) => /** @type {const} */ ([subject.replace(/\w+$/, '*'), null])),
  ]);
}

/** @param {import('zod').ZodType} schema */
const describe = (schema) => ({ required: requiredFields(schema), known: new Set(allFields(schema)) });

/** @param {import('zod').ZodType} schema */
function requiredFields(schema) {
  const { shape } = /** @type {any} */ (schema).def;
  return Object.keys(shape).filter((name) => !shape[name].safeParse(undefined).success);
}

/**
 * @param {import('zod').ZodType} schema
 * @returns {string[]}
 */
function allFields(schema) {
  const { def } = /** @type {any} */ (schema);
  if (def.type === 'optional' || def.type === 'nullable') return allFields(def.innerType);
  if (def.type === 'array') return allFields(def.element);
  if (def.type !== 'object') return [];
  return Object.entries(def.shape).flatMap(([name, field]) => [name, ...allFields(field)]);
}

/** @param {string} file of the build */
const load = (file) => import(pathToFileURL(join(root, 'dist', file)).href);
