import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { folders } from './imports.mjs';
import { root } from './run-command.mjs';
import { runScript, setUp } from './setup.mjs';

/** @typedef {string[][]} Table the head, then the rows */

/**
 * The generated tables by the name in their marker.
 * @type {Record<string, () => Promise<Table> | Table>}
 */
const tables = {
  settings: listSettings,
  'error codes': listErrorCodes,
  'close codes': listCloseCodes,
  requests: listRequests,
  'booking events': listBookingEvents,
  subjects: listSubjects,
  streams: listStreams,
  'room events': listRoomEvents,
  'inbox events': listInboxEvents,
  metrics: listMetrics,
  intervals: listIntervals,
  folders: listFolders,
};

const marker = /(<!-- generated: ([\w ]+) -->\n)[\s\S]*?(?=<!-- end -->)/g;

/** @returns {Promise<{ path: string, text: string, wanted: string }[]>} all pages, with their generated text as `wanted` */
async function renderPages() {
  const rendered = new Map();
  for (const [name, list] of Object.entries(tables)) rendered.set(name, toMarkdown(await list()));
  const pages = readdirSync(join(root, 'docs')).filter((file) => file.endsWith('.md'));
  return [join(root, 'ARCHITECTURE.md'), ...pages.map((page) => join(root, 'docs', page))].map((path) => {
    const text = readFileSync(path, 'utf8');
    const wanted = text.replace(marker, (_section, open, name) => {
      if (!rendered.has(name)) throw new Error(`${relative(root, path)}: no table is called "${name}"`);
      return `${open}\n${rendered.get(name)}\n`;
    });
    return { path, text, wanted };
  });
}

/** @returns {Promise<string>} the pages that are out of date, one per line */
export async function findStalePages() {
  const stale = (await renderPages()).filter(({ text, wanted }) => text !== wanted);
  return stale
    .map(({ path }) => `${relative(root, path)} is not what the code says. Update it: npm run docs`)
    .join('\n');
}

async function listSettings() {
  /** @type {typeof import('../src/config.js')} */
  const { environment } = await load('config.js');
  const rows = Object.entries(environment.shape).map(([name, setting]) => {
    const { description = '', default: described } = setting.meta() ?? {};
    return [code(name), String(described ?? showDefault(setting.safeParse(undefined).data)), description];
  });
  return [['variable', 'default', 'meaning'], ...rows];
}

/** @param {unknown} value */
function showDefault(value) {
  const text = String(value ?? '');
  return text === '' ? '–' : code(text);
}

async function listErrorCodes() {
  /** @type {typeof import('../src/domain/errors.js')} */
  const { errorCodes } = await load('domain/errors.js');
  /** @type {typeof import('../src/server/graphql/statuses.js')} */
  const { statuses } = await load('server/graphql/statuses.js');
  const rows = Object.entries(errorCodes).map(([name, { meaning, retry }]) => [
    code(name),
    String(statuses[/** @type {keyof typeof statuses} */ (name)]),
    meaning,
    retry,
  ]);
  return [['code', 'status', 'meaning', 'may the client retry?'], ...rows];
}

async function listCloseCodes() {
  /** @type {typeof import('../src/server/ws/close-codes.js')} */
  const { closeMeanings } = await load('server/ws/close-codes.js');
  const rows = closeMeanings.map(({ codes, meaning, action }) => [codes.join(', '), meaning, action]);
  return [['code', 'meaning', 'what to do'], ...rows];
}

async function listRequests() {
  /** @type {typeof import('../src/backends/serve-backends.js')} */
  const { services } = await load('backends/serve-backends.js');
  const rows = services.map(({ subject, payload, answer }) => [code(subject), code(showFields(payload)), answer]);
  return [['subject', 'payload', '`data` of the answer'], ...rows];
}

async function listBookingEvents() {
  /** @type {typeof import('../src/config.js')} */
  const { environment } = await load('config.js');
  /** @type {typeof import('../src/backends/booking-events.js')} */
  const { bookingEvents, event } = await load('backends/booking-events.js');
  const rows = environment.shape.BOOKING_EVENTS_SUBJECTS.parse(undefined).map((subject) => {
    const what = /** @type {keyof typeof bookingEvents} */ (subject.slice(subject.lastIndexOf('.') + 1));
    return [code(subject), code(showFields(event)), bookingEvents[what]];
  });
  return [['subject', 'body', 'meaning'], ...rows];
}

/**
 * @param {import('zod').ZodType} schema
 * @returns {string} the fields of an object or of a list of objects, empty for anything else
 */
function showFields(schema) {
  const { def } = /** @type {any} */ (schema);
  if (def.type === 'optional' || def.type === 'nullable') return showFields(def.innerType);
  if (def.type === 'array') return showFields(def.element) && `[${showFields(def.element)}]`;
  if (def.type !== 'object') return '';
  const fields = Object.entries(def.shape).map(([name, field]) => {
    const inner = showFields(field);
    return `${name}${field.safeParse(undefined).success ? '?' : ''}${inner && `: ${inner}`}`;
  });
  return `{ ${fields.join(', ')} }`;
}

/** Each row is the doc comment of a subject, which begins with the subject. */
async function listSubjects() {
  const streams = await loadStreams();
  const source = readFileSync(join(root, 'src/pubsub/nats/subjects.ts'), 'utf8');
  const sentences = source.matchAll(/\/\*\*\s+(?:\* )?(`chat\.[^:]+): ([\s\S]+?)(?:\s\*\/|\n \*\n)/g);
  const rows = [...sentences].map(([, subject = '', meaning = '']) => {
    const example = subject.split('`')[1]?.replaceAll(/\{\w+\}/g, 'x') ?? '';
    const stream = streams.find(({ subjects }) => subjects.some((pattern) => toPattern(pattern).test(example)));
    return [subject, meaning.replace(/\.$/, ''), stream === undefined ? '–' : code(stream.name)];
  });
  return [['subject', 'published there', 'stream'], ...rows];
}

/** @param {string} subjects with NATS's wildcards */
const toPattern = (subjects) =>
  new RegExp(`^${subjects.replaceAll('.', '\\.').replace('*', '[^.]+').replace('>', '.+')}$`);

async function listStreams() {
  const rows = (await loadStreams()).map(({ name, subjects, storage, max_age: nanoseconds }) => [
    code(name),
    subjects.map(code).join(', '),
    storage,
    showSeconds(nanoseconds / 1e9),
  ]);
  return [['stream', 'subjects', 'storage', 'kept for'], ...rows];
}

async function loadStreams() {
  /** @type {typeof import('../src/pubsub/nats/streams.js')} */
  const { streams } = await load('pubsub/nats/streams.js');
  return streams;
}

/** @param {number} seconds */
function showSeconds(seconds) {
  if (seconds >= 86_400) return `${seconds / 86_400} days`;
  return seconds >= 60 ? `${seconds / 60} minutes` : `${seconds} seconds`;
}

async function listRoomEvents() {
  const schema = await readSchema();
  const { objects } = schema.getImplementations(/** @type {any} */ (schema.getType('RoomEvent')));
  return [['event', 'meaning'], ...objects.map(describe)];
}

async function listInboxEvents() {
  const schema = await readSchema();
  const kinds = /** @type {import('graphql').GraphQLEnumType} */ (schema.getType('InboxEventKind'));
  return [['`kind`', 'meaning'], ...kinds.getValues().map(describe)];
}

async function readSchema() {
  const { buildSchema } = await import('graphql');
  return buildSchema(readFileSync(join(root, 'schema.graphql'), 'utf8'));
}

/** @param {{ name: string, description?: string | null | undefined }} type */
const describe = ({ name, description }) => [code(name), description?.replaceAll('\n', ' ') ?? ''];

async function listMetrics() {
  /** @type {typeof import('../src/server/metrics.js')} */
  const { createMetrics } = await load('server/metrics.js');
  /** @type {typeof import('../src/workers/pool-metrics.js')} */
  const { createPoolMetrics } = await load('workers/pool-metrics.js');
  // Only a scrape reads the sources.
  const sources = /** @type {any} */ ({});
  const registries = [createMetrics(sources, 1), createPoolMetrics(sources)];
  const metrics = registries.flatMap((registry) => registry.getMetricsAsArray());
  const own = metrics.filter(({ name }) => name.startsWith('fairway_'));
  return [['metric', 'meaning'], ...own.map((metric) => [code(metric.name), /** @type {any} */ (metric).help])];
}

/** Each row is a kind, each column a step. */
async function listIntervals() {
  /** @type {typeof import('../src/pubsub/live/intervals.js')} */
  const { laterKinds, steps, kindNames } = await load('pubsub/live/intervals.js');
  const head = steps.map(({ lateMs }) => (lateMs === 0 ? 'in time' : `${lateMs} ms late`));
  const rows = laterKinds.map((kind) => [kindNames[kind], ...steps.map((step) => showInterval(step[kind]))]);
  return [['', ...head], ...rows];
}

/** @param {number} ms */
function showInterval(ms) {
  if (ms === 0) return 'at once';
  return ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`;
}

function listFolders() {
  const rows = folders.map(({ folder, does, owns }) => [code(`src/${folder}`), does, owns.join(', ')]);
  return [['folder', 'what it does', 'packages that no other folder imports'], ...rows];
}

/** @param {string} file of the build */
const load = (file) => import(pathToFileURL(join(root, 'dist', file)).href);

/** @param {string} text */
const code = (text) => `\`${text}\``;

/** @param {Table} table with its columns aligned, as Biome formats them */
function toMarkdown([head = [], ...rows]) {
  const lines = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = head.map((_, column) => Math.max(3, ...lines.map((line) => line[column]?.length ?? 0)));
  const join = (/** @type {string[]} */ cells) => `| ${cells.join(' | ')} |\n`;
  const [first, ...rest] = lines.map((line) => join(line.map((cell, column) => cell.padEnd(widths[column] ?? 0))));
  return [first, join(widths.map((width) => '-'.repeat(width))), ...rest].join('');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await runScript(async () => {
    await setUp();
    for (const { path, text, wanted } of await renderPages()) if (text !== wanted) writeFileSync(path, wanted);
  });
}
