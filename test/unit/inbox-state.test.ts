import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ListedRoom } from '../../src/domain/inbox.js';
import type { Message, MessageType, SystemCode } from '../../src/domain/message.js';
import type { LogEntry, Member } from '../../src/domain/room-log.js';
import { InboxState } from '../../src/pubsub/live/inbox/inbox-state.js';

const roomId = '0190a0a0-0000-7000-8000-000000000001';
const epoch = '0190a0a0-0000-7000-8000-0000000000e0';
const userIds = [4, 5, 6];

interface Written {
  readonly id: string;
  readonly seq: number;
  readonly senderId: number;
  readonly type: MessageType;
  readonly code: SystemCode | null;
  /** By the position of each change: the new text, or null for the deletion. */
  readonly texts: Map<number, string | null>;
}

/** A room's log, and what a viewer's list shows at each of its positions, computed from all messages each time. */
class Model {
  readonly messages: Written[] = [];
  readonly entries: LogEntry[] = [];
  readonly marks = new Map(userIds.map((userId) => [userId, 0]));

  get head(): number {
    return this.entries.length;
  }

  write(senderId: number, code: SystemCode | null = null): void {
    const seq = this.head + 1;
    const type = code === null ? 'TEXT' : 'SYSTEM';
    const message = {
      id: `message ${seq}`,
      seq,
      senderId,
      type,
      code,
      texts: new Map([[seq, `text ${seq}`]]),
    } as const;
    this.messages.push(message);
    this.#append('added', message);
  }

  change(place: number, isDeletion: boolean): void {
    const message = this.messages[place % Math.max(1, this.messages.length)];
    if (message === undefined || message.code !== null || this.textAt(message, this.head) === null) return;
    const seq = this.head + 1;
    message.texts.set(seq, isDeletion ? null : `text ${seq}`);
    this.#append(isDeletion ? 'deleted' : 'updated', message);
  }

  textAt({ texts }: Written, position: number): string | null {
    return [...texts].findLast(([seq]) => seq <= position)?.[1] ?? null;
  }

  view(viewerId: number, position: number, lastReadSeq = this.marks.get(viewerId) ?? 0) {
    const there = this.messages.filter(({ seq }) => seq <= position);
    const shown = there.filter((message) => this.textAt(message, position) !== null);
    const last = shown.at(-1);
    return {
      id: roomId,
      name: null,
      seq: position,
      epoch,
      updatedAt: timeOf(there.at(-1)?.seq ?? 0),
      preloaded: {
        title: `title of ${viewerId}`,
        memberCount: 3,
        lastMessage: last === undefined ? null : this.#messageAt(last, position),
        unreadCount: shown.filter(
          ({ seq, senderId, code }) => seq > lastReadSeq && senderId !== viewerId && code === null,
        ).length,
        viewerMember: { ...memberOf(viewerId, lastReadSeq), user: { id: viewerId } },
      },
    } satisfies ListedRoom;
  }

  #append(kind: LogEntry['kind'], message: Written): void {
    const seq = this.head + 1;
    const change = ({ added: null, updated: 'EDITED', deleted: 'DELETED' } as const)[kind];
    this.entries.push({ kind, change, seq, message: this.#messageAt(message, seq), directKey: null, epoch });
  }

  #messageAt({ id, seq, senderId, type, code, texts }: Written, position: number): Message {
    const changedSeq = [...texts.keys()].findLast((at) => at <= position) ?? seq;
    const content = texts.get(changedSeq) ?? null;
    return {
      id,
      roomId,
      seq,
      changedSeq,
      senderId,
      senderName: `user ${senderId}`,
      type,
      content,
      system: code === null ? null : { code, userIds: [] },
      createdAt: timeOf(seq),
      editedAt: changedSeq > seq && content !== null ? timeOf(changedSeq) : null,
      deletedAt: content === null ? timeOf(changedSeq) : null,
      attachments: null,
    };
  }
}

const timeOf = (seq: number): Date => new Date(1_700_000_000_000 + seq * 1_000);

const memberOf = (userId: number, lastReadSeq: number): Member => ({
  id: `member ${userId}`,
  roomId,
  userId,
  isAdmin: userId === 4,
  joinedAt: timeOf(0),
  joinedSeq: 0,
  leftAt: null,
  lastReadSeq,
  lastReadMessageId: lastReadSeq === 0 ? null : `message ${lastReadSeq}`,
  lastReadAt: lastReadSeq === 0 ? null : timeOf(lastReadSeq),
});

type Step =
  | { readonly act: 'send' | 'announce' | 'invite' | 'query' | 'answer' | 'show'; readonly user: number }
  | { readonly act: 'mark'; readonly user: number; readonly place: number }
  | { readonly act: 'edit'; readonly place: number }
  | { readonly act: 'delete'; readonly place: number }
  | { readonly act: 'deliver'; readonly place: number };

const user = fc.constantFrom(...userIds);
const place = fc.nat(30);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ act: fc.constant('send' as const), user }) },
  { weight: 12, arbitrary: fc.record({ act: fc.constant('deliver' as const), place: fc.nat(2) }) },
  { weight: 8, arbitrary: fc.record({ act: fc.constant('show' as const), user }) },
  { weight: 6, arbitrary: fc.record({ act: fc.constantFrom('query', 'answer'), user }) },
  { weight: 4, arbitrary: fc.record({ act: fc.constant('mark'), user, place }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constantFrom('announce', 'invite'), user }) },
  { weight: 4, arbitrary: fc.record({ act: fc.constantFrom('edit', 'delete'), place }) },
) as fc.Arbitrary<Step>;

/** The log, what is on its way to the state, and the state. */
class Run {
  readonly model = new Model();
  readonly underWay: LogEntry[] = [];
  readonly answers: { readonly userId: number; readonly room: ListedRoom; readonly of: InboxState<ListedRoom> }[] = [];
  state = new InboxState<ListedRoom>();

  take(next: Step): void {
    const { model } = this;
    const before = model.head;
    if (next.act === 'send') model.write(next.user);
    else if (next.act === 'announce') model.write(next.user, 'ANNOUNCEMENT');
    else if (next.act === 'invite') model.write(next.user, 'MEMBERS_JOINED');
    else if (next.act === 'edit') model.change(next.place, false);
    else if (next.act === 'delete') model.change(next.place, true);
    else if (next.act === 'deliver') this.deliver(next.place);
    else if (next.act === 'mark') this.mark(next.user, next.place);
    else if (next.act === 'query') this.query(next.user);
    else if (next.act === 'answer') this.answer();
    else this.show(next.user);
    this.underWay.push(...model.entries.slice(before));
  }

  deliver(place: number): void {
    const [entry] = this.underWay.splice(place % Math.max(1, this.underWay.length), 1);
    if (entry !== undefined && !this.state.accept(entry)) this.state = new InboxState();
  }

  /** @param place - counted from the newest message */
  mark(userId: number, place = 0): void {
    const seq = this.model.messages.at(-1 - place)?.seq ?? 0;
    if (seq <= (this.model.marks.get(userId) ?? 0)) return;
    this.model.marks.set(userId, seq);
    this.state.read(userId, memberOf(userId, seq));
  }

  query(userId: number): void {
    this.answers.push({ userId, room: this.model.view(userId, this.model.head), of: this.state });
  }

  answer(): void {
    const answer = this.answers.shift();
    if (answer === undefined || answer.of !== this.state) return;
    if (!this.state.learn(answer.userId, answer.room)) this.state = new InboxState();
  }

  show(userId: number): ListedRoom | undefined {
    const room = this.state.show(userId, this.model.marks.get(userId) ?? 0);
    if (room !== undefined) expect(room).toEqual(this.model.view(userId, this.state.seq));
    return room;
  }
}

describe('the state of a room in inboxes', () => {
  it('shows what the log says at its position, however its entries, marks and readings arrive', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 120 }), (steps) => {
        const run = new Run();
        for (const next of steps) run.take(next);

        while (run.underWay.length > 0) run.deliver(0);
        while (run.answers.length > 0) run.answer();
        for (const userId of userIds) {
          run.query(userId);
          run.answer();
        }
        for (const userId of userIds) expect(run.show(userId)?.seq).toBe(run.model.head);
        expect(run.state.seq).toBe(run.model.head);
      }),
      { numRuns: 500 },
    );
  });

  const viewerId = 4;
  function known(messages = 3): Run {
    const run = new Run();
    for (let number = 0; number < messages; number += 1) run.model.write(5);
    run.query(viewerId);
    run.answer();
    return run;
  }
  const send = (run: Run, count: number, senderId = 5): void => {
    for (let number = 0; number < count; number += 1) run.take({ act: 'send', user: senderId });
  };

  it('follows messages, edits, deletions and marks without a reading', () => {
    const run = known();
    const first = run.state;
    send(run, 2);
    send(run, 1, viewerId);
    run.take({ act: 'edit', place: 5 });
    run.take({ act: 'delete', place: 3 });
    run.take({ act: 'announce', user: 6 });
    while (run.underWay.length > 0) run.deliver(0);
    expect(run.show(viewerId)?.preloaded?.unreadCount).toBe(4);
    run.mark(viewerId);
    send(run, 1);
    run.deliver(0);

    expect(run.show(viewerId)?.preloaded?.unreadCount).toBe(1);
    expect(run.state).toBe(first);
  });

  it('shows one object until something changes', () => {
    const run = known();
    const shown = run.show(viewerId);
    expect(run.show(viewerId)).toBe(shown);
    run.mark(viewerId);
    const read = run.show(viewerId);
    expect(read).not.toBe(shown);
    expect(run.show(viewerId)).toBe(read);
  });

  it('has to be read again after a change of members or of the last message, and after an entry of later content', () => {
    for (const change of [
      (run: Run) => run.take({ act: 'invite', user: 5 }),
      (run: Run) => run.take({ act: 'delete', place: 2 }),
    ]) {
      const run = known();
      change(run);
      expect(run.state.accept(run.underWay[0] as LogEntry)).toBe(false);
    }
    const run = known();
    send(run, 1);
    const entry = run.underWay[0] as LogEntry;
    const later = { ...entry, message: { ...entry.message, changedSeq: entry.seq + 1 } };
    expect(run.state.accept(later)).toBe(false);
  });

  it('shows nothing to a viewer whom it does not know, and nothing older than their mark', () => {
    const run = known();
    expect(run.state.show(5, 0)).toBeUndefined();
    expect(run.state.show(viewerId, 3)).toBeUndefined();
    send(run, 1);
    run.mark(viewerId);
    expect(run.show(viewerId)).toBeUndefined();
    run.deliver(0);
    expect(run.show(viewerId)?.preloaded).toMatchObject({ unreadCount: 0, viewerMember: { lastReadSeq: 4 } });
  });

  it('keeps a room with a name, which has no other title', () => {
    const run = known();
    const { title: _, ...parts } = run.model.view(5, 3).preloaded;
    run.state.learn(5, { ...run.model.view(5, 3), name: '#7', preloaded: parts });
    expect(run.state.show(5, 0)?.preloaded?.title).toBe('#7');
  });

  it('does not keep a room whose title has a number in the place of a name', () => {
    const run = known();
    for (const title of ['#7', '김철수, #7 외 3명']) {
      const room = run.model.view(5, 3);
      run.state.learn(5, { ...room, preloaded: { ...room.preloaded, title } });
      expect(run.state.show(5, 0)).toBeUndefined();
    }
  });

  it('is read again by a viewer further behind than its memory, which is bounded', () => {
    const run = known();
    run.state.learn(5, run.model.view(5, 3));
    for (let number = 0; number < 500; number += 1) {
      send(run, 1);
      run.deliver(0);
      run.show(viewerId);
    }
    expect(run.state.show(5, 0)).toBeUndefined();
    expect(run.show(viewerId)?.preloaded?.unreadCount).toBe(503);
    expect(run.state.size).toBeLessThan(50);
  });

  it('waits once for an entry that a later one has overtaken, so that lasting gaps delay no event for long', () => {
    const run = known();
    send(run, 4);
    run.deliver(1);
    expect(run.state.isWorthWaiting(5)).toBe(true);
    run.deliver(0);
    expect(run.state.isWorthWaiting(5)).toBe(false);
    expect(run.show(viewerId)?.seq).toBe(5);

    run.deliver(1);
    expect([1, 2, 3].map(() => run.state.isWorthWaiting(7))).toEqual([true, false, true]);
  });
});
