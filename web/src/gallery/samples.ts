import type {
  ListedRoom,
  Member,
  RoomDetails,
  RoomSnapshot,
  TimelineAttachment,
  TimelineMessage,
  User,
} from '@fairway/client';
import type { Chosen } from '../files/chosen.js';

const user = (id: number, name: string): User => ({ id: String(id), name, avatarUrl: null, isDeleted: false });

export const kim = user(4, '김철수');
export const lee = user(5, '이영희');
export const park = user(6, '박영희');
export const long = user(8, '아주아주 이름이 길어서 한 줄에 다 들어가지 않는 회원님');

const roomId = '0b5e7a1c-4d0f-4c6e-9a53-5f1d0a4e0001';
/** Today at ten in the morning, so that the gallery looks the same at every hour. */
const morning = new Date(new Date().setHours(10, 0, 0, 0)).getTime();
const at = (minutes: number): string => new Date(morning + minutes * 60_000).toISOString();

let count = 0;
function message(sender: User, content: string, minutes: number, more: Partial<TimelineMessage> = {}): TimelineMessage {
  count += 1;
  return {
    id: `00000000-0000-4000-8000-${String(count).padStart(12, '0')}`,
    seq: count,
    type: 'TEXT',
    content,
    attachments: [],
    sender,
    senderName: sender.name,
    system: null,
    createdAt: at(minutes),
    editedAt: null,
    deletedAt: null,
    status: 'sent',
    error: null,
    unreadMemberCount: 0,
    canEdit: sender === kim,
    canDelete: sender === kim,
    ...more,
  };
}

const system = (
  sender: User,
  code: NonNullable<TimelineMessage['system']>['code'],
  users: readonly User[],
  minutes: number,
) =>
  message(sender, '', minutes, { type: 'SYSTEM', content: null, system: { code, users: [...users] }, canEdit: false });

export const usual: readonly TimelineMessage[] = [
  system(kim, 'ROOM_CREATED', [kim, lee, park], -1_500),
  message(lee, '토요일 8시에 한강 파크골프장 3번 코스로 잡았어요', -1_498),
  message(park, '좋아요! 저는 7시 40분까지 갈게요', -1_490),
  message(kim, '저도요. 클럽은 제가 챙길게요', -1_489, { unreadMemberCount: 1 }),
  system(kim, 'MEMBERS_JOINED', [long], -30),
  message(lee, '안녕하세요 🙂', -20),
  message(
    lee,
    '혹시 주차는 어디가 편해요? 지난번에 정문 쪽은 자리가 없어서 한참 돌았거든요. 후문 지도: https://example.com/park/back-gate',
    -20,
  ),
  message(lee, '그리고 물도 각자 챙겨 오기로 해요', -19, { editedAt: at(-18) }),
  message(park, '', -12, { content: null, deletedAt: at(-11) }),
  message(kim, '후문이 제일 편합니다', -6, { unreadMemberCount: 2 }),
  message(kim, '지도 보내 드릴게요', -6, { unreadMemberCount: 2 }),
  message(long, 'https://pictures.example.com/course.jpg', -4, { type: 'IMAGE' }),
  message(lee, 'Ok, see you at 8! مرحبا بكم', -2),
];

/** A landscape, a portrait or a detail, as a file of this page. */
const scene = (width: number, height: number, hue: number): string =>
  `data:image/svg+xml,${encodeURIComponent(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
      <rect width="100%" height="100%" fill="hsl(${hue} 55% 78%)"/>
      <circle cx="${width * 0.75}" cy="${height * 0.25}" r="${Math.min(width, height) * 0.1}" fill="hsl(48 90% 70%)"/>
      <path d="M0 ${height * 0.7} Q ${width * 0.3} ${height * 0.45} ${width * 0.6} ${height * 0.68} T ${width} ${height * 0.6} V ${height} H 0 Z" fill="hsl(${hue - 80} 40% 42%)"/>
    </svg>`,
  )}`;

function attachment(name: string, more: Partial<TimelineAttachment> = {}): TimelineAttachment {
  count += 1;
  return {
    id: `00000000-0000-4000-8000-7${String(count).padStart(11, '0')}`,
    kind: 'FILE',
    name,
    contentType: 'application/pdf',
    byteSize: 1_268_000,
    width: null,
    height: null,
    thumbHash: null,
    status: 'READY',
    failure: null,
    url: 'data:text/plain,file',
    thumbnailUrl: null,
    largeUrl: null,
    ...more,
  };
}

const picture = (name: string, width: number, height: number, hue: number, more: Partial<TimelineAttachment> = {}) => {
  const url = scene(width, height, hue);
  const urls = { url, thumbnailUrl: url, largeUrl: url };
  return attachment(name, { kind: 'IMAGE', contentType: 'image/jpeg', width, height, ...urls, ...more });
};

const unsent = { url: null, thumbnailUrl: null, largeUrl: null, status: 'PENDING' } as const;
const sending = (name: string, width: number, height: number, hue: number, progress: number) =>
  picture(name, width, height, hue, { ...unsent, progress, previewUrl: scene(width, height, hue) });
const hash = '1QcSHQRnh493V4dIh4eXh1h4kJUI';
const album = (size: number): TimelineAttachment[] =>
  Array.from({ length: size }, (_, index) =>
    picture(`코스 ${index + 1}.jpg`, index % 3 === 0 ? 600 : 800, index % 3 === 0 ? 800 : 600, 150 + index * 23),
  );
const longName = '2026년 상반기 파크골프 동호회 운영위원회 회의록 최종본 (수정 3차) – 참석자 확인용_final_v2.docx';

const ofFiles = (sender: User, attachments: readonly TimelineAttachment[], minutes: number, more = {}) =>
  message(sender, '', minutes, {
    type: attachments.every(({ kind }) => kind === 'IMAGE') ? 'IMAGE' : 'FILE',
    attachments,
    canEdit: false,
    ...more,
  });

export const withPictures: readonly TimelineMessage[] = [
  message(lee, '어제 찍은 사진이에요', -30),
  ofFiles(lee, [picture('호수.jpg', 1_600, 1_000, 200)], -29, { content: '3번 코스에서 본 호수' }),
  ofFiles(park, [picture('세로.jpg', 900, 1_600, 260)], -27),
  ofFiles(kim, album(5), -25, { unreadMemberCount: 2 }),
  ofFiles(lee, album(2), -24, { content: '두 장 더' }),
];

export const withFiles: readonly TimelineMessage[] = [
  ofFiles(lee, [attachment('예약 확인서.pdf')], -20),
  ofFiles(kim, [attachment(longName, { byteSize: 26_000_000 })], -19, { content: '회의록입니다. 확인해 주세요' }),
  ofFiles(lee, [attachment('응원 녹음.m4a', { kind: 'AUDIO', contentType: 'audio/mp4', byteSize: 820_000 })], -18),
  ofFiles(park, [attachment('스윙.mp4', { kind: 'VIDEO', contentType: 'video/mp4' })], -17),
  ofFiles(lee, [attachment('오래된 문서.hwp', { status: 'EXPIRED', url: null })], -16),
  ofFiles(
    lee,
    [
      picture('이상한 사진.png', 4, 3, 0, {
        status: 'FAILED',
        failure: 'BROKEN',
        url: null,
        width: null,
        height: null,
      }),
    ],
    -15,
  ),
];

export const onTheWay: readonly TimelineMessage[] = [
  ofFiles(lee, [picture('흐린.jpg', 1_600, 1_000, 200, { thumbHash: hash, thumbnailUrl: null })], -9, {
    content: '흐린 미리 보기',
  }),
  ofFiles(
    lee,
    [picture('처리.jpg', 1, 1, 0, { status: 'PROCESSING', thumbnailUrl: null, url: null, width: null, height: null })],
    -8,
  ),
  ofFiles(kim, [sending('보내는 사진.jpg', 1_200, 800, 120, 0.62)], -3, {
    seq: null,
    status: 'pending',
    unreadMemberCount: null,
  }),
  ofFiles(
    kim,
    [0.9, 0.4, 0].map((progress, index) => sending(`${index}.jpg`, 800, 600, 60 * index, progress)),
    -2,
    {
      seq: null,
      status: 'pending',
      unreadMemberCount: null,
    },
  ),
  ofFiles(kim, [attachment('계약서.pdf', { ...unsent, progress: 0.25 })], -1, {
    seq: null,
    status: 'pending',
    unreadMemberCount: null,
  }),
];

export const refused: readonly TimelineMessage[] = [
  ofFiles(
    kim,
    [attachment('프로그램.exe', { ...unsent, status: 'FAILED', failure: 'TYPE_NOT_ALLOWED', progress: 1 })],
    -3,
    { seq: null, status: 'failed', error: 'FILE_TYPE_NOT_ALLOWED', unreadMemberCount: null },
  ),
  ofFiles(kim, [sending('사진.jpg', 1_200, 800, 120, 0)], -2, {
    seq: null,
    status: 'failed',
    error: 'FILE_NOT_STORED',
    unreadMemberCount: null,
  }),
  ofFiles(kim, [sending('다음.jpg', 600, 800, 20, 0)], -1, { seq: null, status: 'waiting', unreadMemberCount: null }),
];

/** The answer to the question for the files of a room. */
export const roomFiles = {
  id: roomId,
  attachments: {
    edges: [...album(8), attachment(longName), attachment('예약 확인서.pdf')].map((node, index) => ({
      node,
      message: { id: `m${index}`, senderName: index % 2 === 0 ? lee.name : long.name, createdAt: at(-index * 700) },
    })),
    pageInfo: { endCursor: 'next', hasNextPage: true },
  },
};

export const viewed = album(3).map((one) => ({ attachment: one, senderName: lee.name, createdAt: at(-20) }));

export const chosen: readonly Chosen[] = [
  { key: 1, file: new File(['x'.repeat(2_400_000)], '호수.jpg', { type: 'image/jpeg' }), url: scene(800, 600, 200) },
  { key: 2, file: new File(['x'.repeat(120_000)], longName), url: null },
  { key: 3, file: new File(['x'.repeat(900)], '녹음.m4a', { type: 'audio/mp4' }), url: null },
];

export const troubled: readonly TimelineMessage[] = [
  ...usual.slice(5, 8),
  message(kim, '이 메시지는 보내지 못했습니다', -1, {
    seq: null,
    status: 'failed',
    error: 'FORBIDDEN',
    unreadMemberCount: null,
  }),
  message(kim, '이 메시지는 앞의 것을 기다립니다', -1, { seq: null, status: 'waiting', unreadMemberCount: null }),
  message(kim, '이 메시지는 가는 중입니다', 0, { seq: null, status: 'pending', unreadMemberCount: null }),
];

const member = (person: User, lastReadSeq: number, isAdmin = false): Member => ({
  user: person,
  isAdmin,
  joinedSeq: 1,
  lastReadSeq,
});

export const members: readonly Member[] = [member(kim, 13, true), member(lee, 13), member(park, 11), member(long, 9)];

export const details: RoomDetails = {
  id: roomId,
  type: 'GROUP',
  title: '토요일 아침반 🏌️',
  name: '토요일 아침반 🏌️',
  imageUrl: null,
  peer: null,
  bookingId: null,
  cancelledAt: null,
  memberCount: 4,
  updatedAt: at(-2),
  viewerCanSend: true,
  viewerMember: { isAdmin: true, joinedSeq: 1, lastReadSeq: 8 },
};

export const snapshot = (more: Partial<RoomSnapshot> = {}): RoomSnapshot => ({
  id: roomId,
  status: 'ready',
  room: details,
  messages: usual,
  hasOlder: false,
  hasNewer: false,
  isLoadingOlder: false,
  isLoadingNewer: false,
  firstUnreadId: usual[8]?.id ?? null,
  unreadCount: 0,
  typing: [],
  draft: '',
  members,
  hasMoreMembers: false,
  ...more,
});

interface Sample {
  readonly title: string;
  readonly text: string;
  readonly unread?: number;
  readonly minutes: number;
  readonly type?: ListedRoom['type'];
  readonly sender?: User;
}

const samples: readonly Sample[] = [
  { title: '토요일 아침반 🏌️', text: 'Ok, see you at 8!', minutes: -2, unread: 3, sender: lee },
  {
    title: '이영희',
    text: '네 방금 도착했어요~ 오늘 태워다 주셔서 감사해요 😊',
    minutes: -15,
    type: 'DIRECT',
    sender: lee,
  },
  {
    title: '예약 #1042 · 한강 파크골프장',
    text: '예약이 확정되었습니다',
    minutes: -70,
    type: 'BOOKING',
    unread: 12,
    sender: park,
  },
  {
    title: '제목이 아주 길어서 시간과 배지를 밀어낼 수도 있는 대화방, 하지만 그러면 안 됩니다',
    text: '그리고 마지막 메시지도 한 줄에 다 들어가지 않을 만큼 길게 이어지는 이야기입니다 정말로요',
    minutes: -1_500,
    unread: 4_321,
    sender: long,
  },
  { title: '박영희', text: '사진', minutes: -4_000, type: 'DIRECT', sender: park },
  { title: 'Weekend Golf Club', text: 'See you on Sunday', minutes: -600_000, sender: lee },
];

export const rooms: readonly ListedRoom[] = samples.map(
  ({ title, text, unread = 0, minutes, type = 'GROUP', sender = lee }, index) => ({
    id: index === 0 ? roomId : `0b5e7a1c-4d0f-4c6e-9a53-5f1d0a4e01${String(index).padStart(2, '0')}`,
    type,
    title,
    name: type === 'DIRECT' ? null : title,
    imageUrl: null,
    peer: type === 'DIRECT' ? { id: sender.id, avatarUrl: null } : null,
    bookingId: null,
    cancelledAt: null,
    seq: 13,
    epoch: '0',
    unreadCount: unread,
    memberCount: 4,
    updatedAt: at(minutes),
    lastMessage: {
      id: `00000000-0000-4000-8000-9${String(index).padStart(11, '0')}`,
      seq: 13,
      type: 'TEXT',
      content: text,
      senderName: sender.name,
      system: null,
      createdAt: at(minutes),
    },
  }),
);
