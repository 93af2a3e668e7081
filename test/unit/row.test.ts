import { describe, expect, it } from 'vitest';
import { memberRow, toListedMember } from '../../src/db/member-row.js';
import { createRowCodec } from '../../src/db/row.js';
import { computed, orNull, type Shape, text, time, uuid } from '../../src/domain/shape.js';

const noteShape = {
  id: computed(uuid),
  roomId: uuid,
  lastText: orNull(text),
  sentAt: time,
  readAt: orNull(time),
} satisfies Shape;

describe('a row codec', () => {
  const row = createRowCodec(noteShape, { known: ['roomId'], computed: { id: (note) => `twin(${note}.id)` } });
  const note = { id: 'a', roomId: 'b', lastText: null, sentAt: new Date(1_500), readAt: null };

  it('lists the columns of a table or composite, times in seconds', () => {
    expect(row.select('(w.entry)').sql).toBe(
      `twin((w.entry).id) AS "id", (w.entry).room_id AS "roomId", (w.entry).last_text AS "lastText", ` +
        `date_part('epoch', (w.entry).sent_at) AS "sentAt", date_part('epoch', (w.entry).read_at) AS "readAt"`,
    );
  });

  it('leaves known columns out of JSON', () => {
    expect(row.values('n').sql).toBe(
      `twin(n.id), n.last_text, date_part('epoch', n.sent_at), date_part('epoch', n.read_at)`,
    );
  });

  it('decodes both to the same row', () => {
    const selected = { id: 'a', roomId: 'b', lastText: null, sentAt: 1.5, readAt: null, position: 3 };
    expect(row.decode(selected)).toStrictEqual(note);
    const json = ['a', null, 1.5, null, 'more'];
    expect(row.decodeJson(json, { roomId: 'b' })).toStrictEqual(note);
    expect(row.restOfJson(json, 0)).toBe('more');
  });
});

describe('a member in a list', () => {
  const id = '0198c1a0-0000-7000-8000-000000000001';
  const listed = (fields: Record<string, unknown>) => [...memberRow.jsonColumns.map(({ name }) => fields[name]), 'kim'];
  const values = { userId: 4, isAdmin: true, joinedSeq: 1, lastReadSeq: 7, leftAt: null };
  const none = { id: null, joinedAt: null, lastReadMessageId: null, lastReadAt: null };

  it('has the selected fields', () => {
    const details = ['id', 'lastReadAt'] as const;
    const member = toListedMember(listed({ ...values, ...none, id, lastReadAt: 1.5 }), { roomId: 'room', details });

    expect([member.user, member.isAdmin, member.lastReadSeq]).toEqual([{ id: 4, name: 'kim' }, true, 7]);
    expect([member.id, member.lastReadAt, member.leftAt]).toEqual([id, new Date(1_500), null]);
  });

  it('does not return null for a field that was not selected', () => {
    const member = toListedMember(listed({ ...values, ...none }), { roomId: 'room', details: ['id'] });

    expect(() => member.lastReadAt).toThrow('was not selected');
    expect(() => member.lastReadMessageId).toThrow('was not selected');
    expect(() => member.joinedAt).toThrow('was not selected');
  });
});
