import type { SystemCode, SystemNotice } from './message.js';

export const languages = ['ko', 'en'] as const;
export type Language = (typeof languages)[number];
export const defaultLanguage: Language = 'ko';

/** The name of every user whom the platform has deleted. */
export const deletedName: Readonly<Record<Language, string>> = { ko: '탈퇴한 사용자', en: 'Deleted user' };

/** The stored details of a SYSTEM message, from which its content is rendered. An announcement has its own content. */
export type StoredNotice =
  | (SystemNotice & { code: 'ANNOUNCEMENT' })
  | (NoticeDetails & { readonly language: Language });

/** All names are those that were shown when the message was written. */
export interface Notice extends NoticeDetails {
  readonly actorName: string;
}

interface NoticeDetails extends SystemNotice {
  readonly code: Exclude<SystemCode, 'ANNOUNCEMENT'>;
  /** The names of the first users; a sentence counts the others. */
  readonly names: readonly string[];
  /** The new name, for ROOM_RENAMED. */
  readonly roomName?: string;
  /** Whether the booking system caused it, and not the actor. */
  readonly isByBooking?: boolean;
}

type Sentences = Record<Notice['code'], (notice: Notice) => string>;

/** The sentence that the message shows as its content. */
export const renderNotice = (notice: Notice, language: Language): string => sentences[language][notice.code](notice);

const sentences: Record<Language, Sentences> = {
  ko: {
    ROOM_CREATED: ({ actorName, isByBooking }) =>
      isByBooking ? '예약 대화방이 열렸습니다.' : `${actorName}님이 대화방을 만들었습니다.`,
    ROOM_RENAMED: ({ actorName, roomName, isByBooking }) =>
      isByBooking
        ? `대화방 이름이 '${roomName}'(으)로 바뀌었습니다.`
        : `${actorName}님이 대화방 이름을 '${roomName}'(으)로 바꿨습니다.`,
    ROOM_IMAGE_CHANGED: ({ actorName }) => `${actorName}님이 대화방 사진을 바꿨습니다.`,
    MEMBERS_JOINED: (notice) =>
      notice.isByBooking
        ? `${listKorean(notice)}이 예약에 참여했습니다.`
        : `${notice.actorName}님이 ${listKorean(notice)}을 초대했습니다.`,
    MEMBER_LEFT: (notice) => `${listKorean(notice)}이 나갔습니다.`,
    MEMBER_REMOVED: (notice) =>
      notice.isByBooking
        ? `${listKorean(notice)}이 예약에서 빠졌습니다.`
        : `${notice.actorName}님이 ${listKorean(notice)}을 내보냈습니다.`,
    ADMIN_GRANTED: (notice) => `${listKorean(notice)}이 관리자가 되었습니다.`,
    ADMIN_REVOKED: (notice) => `${listKorean(notice)}의 관리자 권한이 해제되었습니다.`,
    BOOKING_CANCELLED: () => '예약이 취소되었습니다.',
  },
  en: {
    ROOM_CREATED: ({ actorName, isByBooking }) =>
      isByBooking ? "The booking's room is open." : `${actorName} created the room.`,
    ROOM_RENAMED: ({ actorName, roomName, isByBooking }) =>
      isByBooking ? `The room is now called '${roomName}'.` : `${actorName} renamed the room to '${roomName}'.`,
    ROOM_IMAGE_CHANGED: ({ actorName }) => `${actorName} changed the room's picture.`,
    MEMBERS_JOINED: (notice) =>
      notice.isByBooking
        ? `${listEnglish(notice)} joined the booking.`
        : `${notice.actorName} invited ${listEnglish(notice)}.`,
    MEMBER_LEFT: (notice) => `${listEnglish(notice)} left.`,
    MEMBER_REMOVED: (notice) =>
      notice.isByBooking
        ? `${listEnglish(notice)} left the booking.`
        : `${notice.actorName} removed ${listEnglish(notice)}.`,
    ADMIN_GRANTED: (notice) => `${listEnglish(notice)} became an admin.`,
    ADMIN_REVOKED: (notice) => `${listEnglish(notice)} is no longer an admin.`,
    BOOKING_CANCELLED: () => 'The booking was cancelled.',
  },
};

/** The list always ends in 님 or 명, that is, in a consonant, so the particles 이 and 을 are right for all names. */
function listKorean({ names, userIds }: Notice): string {
  const others = userIds.length - names.length;
  return names.map((name) => `${name}님`).join(', ') + (others > 0 ? ` 외 ${others}명` : '');
}

const englishList = new Intl.ListFormat('en', { type: 'conjunction' });

function listEnglish({ names, userIds }: Notice): string {
  const others = userIds.length - names.length;
  const counted = others > 0 ? [`${others} ${others === 1 ? 'other' : 'others'}`] : [];
  return englishList.format([...names, ...counted]);
}
