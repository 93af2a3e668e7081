import { describe, expect, it } from 'vitest';
import { type Language, type Notice, renderNotice } from '../../src/domain/notice.js';

const kim = { actorName: '김철수', userIds: [5], names: ['이영희'] };
const ofRoom = { ...kim, userIds: [], names: [] };
const isByBooking = true;

/** The sentences in Korean are those that releases before this one stored. */
const sentences: readonly (readonly [Notice, ko: string, en: string])[] = [
  [{ ...kim, code: 'ROOM_CREATED' }, '김철수님이 대화방을 만들었습니다.', '김철수 created the room.'],
  [{ ...kim, code: 'ROOM_CREATED', isByBooking }, '예약 대화방이 열렸습니다.', "The booking's room is open."],
  [
    { ...ofRoom, code: 'ROOM_RENAMED', roomName: '여행' },
    "김철수님이 대화방 이름을 '여행'(으)로 바꿨습니다.",
    "김철수 renamed the room to '여행'.",
  ],
  [
    { ...ofRoom, code: 'ROOM_RENAMED', roomName: '여행', isByBooking },
    "대화방 이름이 '여행'(으)로 바뀌었습니다.",
    "The room is now called '여행'.",
  ],
  [{ ...kim, code: 'MEMBERS_JOINED' }, '김철수님이 이영희님을 초대했습니다.', '김철수 invited 이영희.'],
  [{ ...kim, code: 'MEMBERS_JOINED', isByBooking }, '이영희님이 예약에 참여했습니다.', '이영희 joined the booking.'],
  [{ ...kim, code: 'MEMBER_LEFT' }, '이영희님이 나갔습니다.', '이영희 left.'],
  [{ ...kim, code: 'MEMBER_REMOVED' }, '김철수님이 이영희님을 내보냈습니다.', '김철수 removed 이영희.'],
  [{ ...kim, code: 'MEMBER_REMOVED', isByBooking }, '이영희님이 예약에서 빠졌습니다.', '이영희 left the booking.'],
  [{ ...kim, code: 'ADMIN_GRANTED' }, '이영희님이 관리자가 되었습니다.', '이영희 became an admin.'],
  [{ ...kim, code: 'ADMIN_REVOKED' }, '이영희님의 관리자 권한이 해제되었습니다.', '이영희 is no longer an admin.'],
  [{ ...ofRoom, code: 'BOOKING_CANCELLED', isByBooking }, '예약이 취소되었습니다.', 'The booking was cancelled.'],
];

describe('renderNotice', () => {
  it.each(sentences)('renders %o in Korean and English', (notice, ko, en) => {
    expect(renderNotice(notice, 'ko')).toBe(ko);
    expect(renderNotice(notice, 'en')).toBe(en);
  });

  const invite = (language: Language, names: readonly string[], count: number) =>
    renderNotice(
      { code: 'MEMBERS_JOINED', actorName: '김철수', userIds: Array.from({ length: count }, (_, n) => n), names },
      language,
    );

  it('lists names, and counts the users whose names it does not have', () => {
    expect(invite('ko', ['이영희', '#6'], 2)).toBe('김철수님이 이영희님, #6님을 초대했습니다.');
    expect(invite('ko', ['이영희', '#6'], 5)).toBe('김철수님이 이영희님, #6님 외 3명을 초대했습니다.');
    expect(invite('en', ['이영희', '#6'], 2)).toBe('김철수 invited 이영희 and #6.');
    expect(invite('en', ['이영희', '#6'], 3)).toBe('김철수 invited 이영희, #6, and 1 other.');
    expect(invite('en', ['이영희', '#6'], 5)).toBe('김철수 invited 이영희, #6, and 3 others.');
  });
});
