import { GraphQLError } from 'graphql';
import { builder } from './builder.js';

/** RFC 3339 in UTC; fewer digits of a second than three are zeros. */
const pattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z$/;

builder.scalarType('DateTime', {
  description: 'A point in time in RFC 3339 format, in UTC, with milliseconds.',
  serialize: (value) => value.toISOString(),
  parseValue: (value) => {
    const time = typeof value === 'string' && pattern.test(value) ? new Date(value) : undefined;
    if (time === undefined || Number.isNaN(time.getTime())) {
      throw new GraphQLError('A DateTime is a text like 2026-01-31T09:30:00.000Z, in UTC');
    }
    return time;
  },
});
