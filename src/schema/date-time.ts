import { builder } from './builder.js';

builder.scalarType('DateTime', {
  description: 'A point in time in RFC 3339 format, in UTC, with milliseconds.',
  serialize: (value) => value.toISOString(),
});
