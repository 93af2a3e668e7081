import { describe, expect, it } from 'vitest';
import { ChatError } from '../../src/domain/errors.js';
import { createGraphqlError, toGraphqlError } from '../../src/schema/graphql-error.js';

describe('an error for a client', () => {
  it('collects no stack', () => {
    const before = Error.stackTraceLimit;
    expect(createGraphqlError('no').stack).not.toContain('\n    at ');
    expect(toGraphqlError(new ChatError('FORBIDDEN', 'Not you')).stack).not.toContain('\n    at ');
    expect(Error.stackTraceLimit).toBe(before);
  });

  it('keeps the stack of its cause', () => {
    const cause = new Error('a bug');
    expect(toGraphqlError(cause)).toMatchObject({ message: 'a bug', originalError: cause });
    expect(cause.stack).toContain('graphql-error.test.ts');
  });
});
