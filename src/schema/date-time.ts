import { builder } from './builder.js';

builder.scalarType('DateTime', {
  description: 'A point in time, RFC 3339, UTC, milliseconds.',
  serialize: (value) => value.toISOString(),
});
