import { object, topic } from './particles.js';
import type { SystemEvent, Words } from './words.js';

const count = new Intl.NumberFormat('ko');

const namesOf = (names: readonly string[]): string =>
  names.length > 3 ? `${names.slice(0, 2).join('님, ')}님 외 ${names.length - 2}명` : `${names.join('님, ')}님`;

function tell({ code, sender, users, content }: SystemEvent): string {
  const who = namesOf(users);
  switch (code) {
    case 'ROOM_CREATED':
      return `${sender}님이 대화방을 만들었습니다`;
    case 'MEMBERS_JOINED':
      return users.includes(sender) ? `${who}이 들어왔습니다` : `${sender}님이 ${object(who)} 초대했습니다`;
    case 'MEMBER_LEFT':
      return `${users.length > 0 ? who : `${sender}님`}이 나갔습니다`;
    case 'MEMBER_REMOVED':
      return `${sender}님이 ${object(who)} 내보냈습니다`;
    case 'ADMIN_GRANTED':
      return `${who}이 관리자가 되었습니다`;
    case 'ADMIN_REVOKED':
      return `${who}은 이제 관리자가 아닙니다`;
    case 'ROOM_RENAMED':
      return `${sender}님이 대화방 이름을 바꿨습니다`;
    case 'ROOM_IMAGE_CHANGED':
      return `${sender}님이 대화방 사진을 바꿨습니다`;
    case 'BOOKING_CANCELLED':
      return '예약이 취소되어 대화를 더 보낼 수 없습니다';
    default:
      return content ?? '알림';
  }
}

const reasons: Readonly<Record<string, string>> = {
  FORBIDDEN: '이 방에는 보낼 수 없습니다',
  NOT_FOUND: '이 방이나 메시지가 더 이상 없습니다',
  CONFLICT: '그사이에 바뀌었습니다',
  BAD_USER_INPUT: '서버가 받아들이지 않는 내용입니다',
  FILE_NOT_STORED: '이 기기에 저장할 공간이 없습니다. 다시 시도하면 창이 열려 있는 동안 보냅니다',
  FILE_LOST: '이 기기에 파일이 남아 있지 않습니다',
};

const failures: Readonly<Record<string, string>> = {
  BROKEN: '손상된 파일입니다',
  CHECKSUM: '파일이 온전히 도착하지 않았습니다',
  INFECTED: '바이러스 검사를 통과하지 못한 파일입니다',
  TOO_LARGE: '너무 큰 파일입니다',
  TOO_MANY_PIXELS: '해상도가 너무 높은 사진입니다',
  TYPE_NOT_ALLOWED: '보낼 수 없는 형식의 파일입니다',
};

export const ko: Words = {
  language: 'ko',
  languageName: '한국어',
  app: 'Fairway',
  close: '닫기',
  cancel: '취소',
  save: '저장',
  retry: '다시 시도',
  loading: '불러오는 중',
  you: '나',
  signIn: {
    title: '누구로 시작할까요?',
    lead: '이 서버는 데모입니다. 비밀번호 없이 아래 사람 중 하나로 들어갑니다.',
    waiting: '로그인 정보를 기다리는 중입니다',
    again: '다시 로그인',
    out: '로그아웃',
  },
  line: {
    connecting: '연결하는 중…',
    reconnecting: (seconds) => (seconds > 0 ? `연결 끊김 · ${seconds}초 뒤 재시도` : '다시 연결하는 중…'),
    now: '지금 연결',
    outdated: '새 버전이 나왔습니다',
    reload: '새로 고침',
    notKept: '이 브라우저에는 저장되지 않습니다',
  },
  list: {
    title: '채팅',
    filter: '대화방 이름으로 찾기',
    clear: '지우기',
    create: '새 대화',
    empty: '아직 대화가 없습니다',
    noMatch: (text) => `‘${text}’에 맞는 대화방이 없습니다`,
    unread: (unread) => `읽지 않은 메시지 ${count.format(unread)}개`,
    more: '더 보기',
    picture: '사진',
    noMessage: '아직 메시지가 없습니다',
    total: (unread) => `(${unread > 999 ? '999+' : unread}) Fairway`,
  },
  room: {
    choose: '대화를 골라 주세요',
    back: '목록으로',
    details: '대화방 정보',
    members: (members) => `${count.format(members)}명`,
    online: '접속 중',
    typing: (names) =>
      names.length > 2
        ? `${names.length}명이 입력하는 중…`
        : `${names.map((name) => `${name}님`).join(', ')}이 입력하는 중…`,
    gone: '이 대화방을 볼 수 없습니다. 참여자가 아니거나 없는 대화방입니다.',
    toList: '목록으로 돌아가기',
    beginning: '대화의 시작입니다',
    unread: '여기까지 읽었습니다',
    latest: '최근 메시지로',
    latestWith: (unread) => `새 메시지 ${unread > 999 ? '999+' : unread}개`,
    history: '대화 내용',
    system: tell,
  },
  message: {
    deleted: '삭제된 메시지입니다',
    edited: '수정됨',
    status: { pending: '보내는 중', waiting: '앞 메시지를 기다리는 중', failed: '보내지 못함' },
    why: (code, files) => {
      const reason = reasons[code] ?? failures[code.replace('FILE_', '')] ?? '서버에 닿지 않습니다';
      return files.length === 0 ? reason : `${files.map((name) => `‘${name}’`).join(', ')}: ${reason}`;
    },
    withoutFile: '빼고 보내기',
    discard: '지우기',
    actions: (text) => `메시지 메뉴: ${text}`,
    copy: '복사',
    copyLink: '링크 복사',
    copied: '복사했습니다',
    edit: '수정',
    delete: '삭제',
    readers: '읽은 사람',
    unread: (unread) => `${count.format(unread)}명이 읽지 않음`,
    deleteTitle: '메시지를 삭제할까요?',
    deleteText: '모두에게서 사라지며 되돌릴 수 없습니다.',
    more: '모두 보기',
    picture: '사진',
    showPicture: (host) => `사진 열기 (${host})`,
    from: (name, text) => `${name}: ${text}`,
    read: (readers) => `읽음 ${count.format(readers)}`,
    notRead: (others) => `안 읽음 ${count.format(others)}`,
    readByNobody: '아직 아무도 읽지 않았습니다',
  },
  composer: {
    label: '메시지',
    placeholder: '메시지 입력',
    send: '보내기',
    emoji: '이모지',
    findEmoji: '이모지 찾기 (영어)',
    noEmoji: '맞는 이모지가 없습니다',
    noPicker: '이모지를 불러오지 못했습니다',
    editing: '메시지 수정 중',
    tooLong: (over) => `${count.format(over)}자가 넘칩니다`,
    closed: '이 대화방에는 메시지를 보낼 수 없습니다',
    cancelled: '예약이 취소되어 메시지를 보낼 수 없습니다',
    full: '보내지 못한 메시지가 너무 많습니다. 연결되면 다시 보내 주세요',
  },
  files: {
    attach: '파일 첨부',
    drop: '여기에 놓으면 첨부됩니다',
    chosen: '보낼 파일',
    remove: (name) => `${name} 빼기`,
    tooLarge: (name, size) => `‘${name}’${topic(name)} 너무 큽니다. ${size}까지 보낼 수 있습니다`,
    empty: (name) => `‘${name}’${topic(name)} 빈 파일이라 보낼 수 없습니다`,
    tooMany: (files) => `한 번에 ${count.format(files)}개까지 보낼 수 있습니다`,
    noFiles: '이 서버는 파일을 받지 않습니다',
    progress: (percent) => `${percent}% 보냄`,
    processing: '준비하는 중',
    expired: '보관 기간이 지나 삭제된 파일입니다',
    failed: (failure) => failures[failure] ?? '사용할 수 없는 파일입니다',
    pictures: (pictures) => (pictures === 1 ? '사진' : `사진 ${count.format(pictures)}장`),
    video: '동영상',
    audio: '음성',
    file: '파일',
    files: (files) => `파일 ${count.format(files)}개`,
    open: (name) => `크게 보기: ${name}`,
    download: '내려받기',
    previous: '이전 사진',
    next: '다음 사진',
    position: (number, pictures) => `${count.format(pictures)}장 중 ${count.format(number)}번째`,
    title: '사진과 파일',
    allPictures: '사진',
    all: '모든 파일',
    none: '아직 주고받은 파일이 없습니다',
    notLoaded: '불러오지 못했습니다',
  },
  people: {
    newTitle: '새 대화',
    find: '이름으로 찾기',
    hint: '이름을 한 글자 이상 입력하세요',
    noMatch: (text) => `‘${text}’에 맞는 사람이 없습니다`,
    noDirectory: '이 서버에서는 이름으로 찾을 수 없습니다. 회원 번호를 입력하세요',
    byNumber: '회원 번호',
    chosen: '선택한 사람',
    remove: (name) => `${name}님 빼기`,
    groupName: '그룹 이름 (선택)',
    talk: '1:1 대화 시작',
    createGroup: '그룹 만들기',
    offline: '연결되어 있지 않습니다',
    refused: '서버가 거절했습니다',
  },
  details: {
    title: '대화방 정보',
    members: '참여자',
    admin: '관리자',
    more: '더 보기',
    invite: '초대',
    inviteTitle: '참여자 초대',
    rename: '이름 바꾸기',
    name: '대화방 이름',
    appoint: '관리자로 지정',
    dismiss: '관리자 해제',
    remove: '내보내기',
    removeText: (name) => `${name}님을 내보낼까요?`,
    leave: '나가기',
    leaveText: '대화방에서 나갈까요? 다시 초대받기 전에는 볼 수 없습니다.',
    actions: (name) => `${name}님 메뉴`,
  },
};
