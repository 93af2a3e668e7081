import { describe, expect, it } from 'vitest';
import { messageSubject, readSubject } from '../../src/pubsub/nats/subjects.js';

const room = '0196f3a0-1234-7abc-8def-0123456789ab';

describe('the subjects of a room', () => {
  it.each([
    ['its log', messageSubject(room, null), `chat.room.${room}.message`],
    ['the log of a DIRECT room', messageSubject(room, '4:9'), 'chat.dm.4-9.message'],
    ['its read marks', readSubject(room), `chat.room.${room}.read`],
    ['its log, by an id in upper case', messageSubject(room.toUpperCase(), null), `chat.room.${room}.message`],
  ])('name %s', (_what, subject, expected) => {
    expect(subject).toBe(expected);
  });

  it.each(['*', '>', 'a.b.>', `${room}.message`, `*.${room}`, '', `${room} `, `${room}\r\nPUB x 0`])(
    'are not built from the id %j',
    (id) => {
      expect(() => messageSubject(id, null)).toThrow(/must be a UUID/);
      expect(() => readSubject(id)).toThrow(/must be a UUID/);
    },
  );

  it.each(['', '4', '4-9', '4:', ':9', '*:>', '4:9.x', '4:9\n', '4:9:11'])(
    'are not built from the direct key %j',
    (key) => {
      expect(() => messageSubject(room, key)).toThrow(/Not a direct key/);
    },
  );
});
