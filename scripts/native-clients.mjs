import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import {
  buildASTSchema,
  concatAST,
  extendSchema,
  getNamedType,
  isEnumType,
  isInterfaceType,
  isObjectType,
  Kind,
  parse,
  validate,
} from 'graphql';
import { root } from './run-command.mjs';

const clients = join(root, 'clients');
const settingsPath = join(clients, 'apollo-ios/apollo-codegen-config.json');
const extraPath = join(clients, 'apollo-kotlin/extra.graphqls');

/** What Apollo Kotlin adds to a schema that links https://specs.apollo.dev/cache/v0.4, as far as it is used here. */
const cacheDirectives = `
  directive @link(url: String!, import: [String!]) repeatable on SCHEMA
  directive @typePolicy(keyFields: String! = "") on OBJECT | INTERFACE
  directive @fieldPolicy(forField: String!, keyArgs: String! = "") repeatable on OBJECT
`;

/**
 * Checks the operations of `clients` and the settings of the native clients against schema.graphql.
 * @returns {string} the problems, one per line
 */
export function findNativeClientProblems() {
  const schema = buildASTSchema(parse(read(join(root, 'schema.graphql'))));
  return [...checkOperations(schema), ...checkKeys(schema), ...checkSettings(schema)].join('\n');
}

/**
 * Code generators read all files together, so the names of operations and fragments must be different in all of them.
 * @param {import('graphql').GraphQLSchema} schema
 */
function checkOperations(schema) {
  const folder = join(clients, 'operations');
  const documents = readdirSync(folder).map((file) => parse(read(join(folder, file))));
  return validate(schema, concatAST(documents)).map(({ message }) => `clients/operations: ${message}`);
}

/** @param {import('graphql').GraphQLSchema} schema */
function checkKeys(schema) {
  const place = relative(root, extraPath);
  const extra = parse(read(extraPath));
  try {
    extendSchema(extendSchema(schema, parse(cacheDirectives)), extra);
  } catch (error) {
    return [`${place}: ${/** @type {Error} */ (error).message}`];
  }
  return extra.definitions.flatMap((definition) => {
    if (definition.kind !== Kind.OBJECT_TYPE_EXTENSION && definition.kind !== Kind.INTERFACE_TYPE_EXTENSION) return [];
    return findMissingKeys(schema, definition).map((key) => `${place}: there is no ${key}`);
  });
}

/**
 * @param {import('graphql').GraphQLSchema} schema
 * @param {import('graphql').ObjectTypeExtensionNode | import('graphql').InterfaceTypeExtensionNode} extension
 */
function findMissingKeys(schema, { name, directives = [] }) {
  const type = schema.getType(name.value);
  const fields = isObjectType(type) || isInterfaceType(type) ? type.getFields() : {};
  return directives.flatMap((directive) => {
    const of = (/** @type {string} */ argument) => {
      const value = directive.arguments?.find((it) => it.name.value === argument)?.value;
      return value?.kind === Kind.STRING ? value.value.split(' ') : [];
    };
    const [field = ''] = of('forField');
    const args = fields[field]?.args.map((it) => it.name) ?? [];
    return [
      ...[...of('keyFields'), ...of('forField')]
        .filter((key) => fields[key] === undefined)
        .map((key) => `${name.value}.${key}`),
      ...of('keyArgs')
        .filter((key) => !args.includes(key))
        .map((key) => `${name.value}.${field}(${key}:)`),
    ];
  });
}

/** @param {import('graphql').GraphQLSchema} schema */
function checkSettings(schema) {
  const place = relative(root, settingsPath);
  const { input, options } = JSON.parse(read(settingsPath));
  const paths = [...input.schemaSearchPaths, ...input.operationSearchPaths];
  const missing = paths.filter((path) => !existsSync(join(dirname(settingsPath), path.replace('/*.graphql', ''))));
  const renamed = Object.entries(options.schemaCustomization.customTypeNames).flatMap(([name, custom]) => {
    const type = getNamedType(schema.getType(name));
    const values = isEnumType(type) ? type.getValues().map((value) => value.name) : [];
    const cases = Object.keys(/** @type {any} */ (custom).enum?.cases ?? {});
    return type === undefined
      ? [name]
      : cases.filter((value) => !values.includes(value)).map((value) => `${name}.${value}`);
  });
  return [...missing, ...renamed].map((name) => `${place}: there is no ${name}`);
}

/** @param {string} path */
const read = (path) => readFileSync(path, 'utf8');
