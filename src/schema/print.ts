import { lexicographicSortSchema, printSchema } from 'graphql';
import { schema } from './index.js';

process.stdout.write(`${printSchema(lexicographicSortSchema(schema))}\n`);
