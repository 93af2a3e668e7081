import type { SystemEvent, Words } from './words.js';

const count = new Intl.NumberFormat('en');
const list = new Intl.ListFormat('en');
const plural = (number: number, one: string, many: string) => `${count.format(number)} ${number === 1 ? one : many}`;

const namesOf = (names: readonly string[]): string =>
  list.format(names.length > 3 ? [...names.slice(0, 2), `${names.length - 2} others`] : names);

function tell({ code, sender, users, content }: SystemEvent): string {
  const who = namesOf(users);
  switch (code) {
    case 'ROOM_CREATED':
      return `${sender} created the room`;
    case 'MEMBERS_JOINED':
      return users.includes(sender) ? `${who} joined` : `${sender} invited ${who}`;
    case 'MEMBER_LEFT':
      return `${users.length > 0 ? who : sender} left`;
    case 'MEMBER_REMOVED':
      return `${sender} removed ${who}`;
    case 'ADMIN_GRANTED':
      return `${who} became an admin`;
    case 'ADMIN_REVOKED':
      return `${who} is no longer an admin`;
    case 'ROOM_RENAMED':
      return `${sender} renamed the room`;
    case 'ROOM_IMAGE_CHANGED':
      return `${sender} changed the picture of the room`;
    case 'BOOKING_CANCELLED':
      return 'The booking was cancelled, so the room is closed';
    default:
      return content ?? 'Notice';
  }
}

const reasons: Readonly<Record<string, string>> = {
  FORBIDDEN: 'You cannot send here',
  NOT_FOUND: 'The room or the message is gone',
  CONFLICT: 'It has changed meanwhile',
  BAD_USER_INPUT: 'The server does not accept this',
  FILE_NOT_STORED: 'There is no space on this device. Trying again sends it while this page is open',
  FILE_LOST: 'The file is not on this device any more',
};

const failures: Readonly<Record<string, string>> = {
  BROKEN: 'The file is damaged',
  CHECKSUM: 'The file did not arrive whole',
  INFECTED: 'The virus scanner has refused the file',
  TOO_LARGE: 'The file is too large',
  TOO_MANY_PIXELS: 'The picture has too many pixels',
  TYPE_NOT_ALLOWED: 'Files of this type cannot be sent',
};

export const en: Words = {
  language: 'en',
  languageName: 'English',
  app: 'Fairway',
  close: 'Close',
  cancel: 'Cancel',
  save: 'Save',
  retry: 'Try again',
  loading: 'Loading',
  you: 'You',
  signIn: {
    title: 'Who are you?',
    lead: 'This server is a demo: sign in as one of these people, without a password.',
    waiting: 'Waiting for your sign-in',
    again: 'Sign in again',
    out: 'Sign out',
  },
  line: {
    connecting: 'Connecting…',
    reconnecting: (seconds) => (seconds > 0 ? `Offline · trying again in ${seconds} s` : 'Connecting again…'),
    now: 'Now',
    outdated: 'There is a new version',
    reload: 'Reload',
    notKept: 'Nothing is kept in this browser',
  },
  list: {
    title: 'Chats',
    filter: 'Find a chat by its title',
    clear: 'Clear',
    create: 'New chat',
    empty: 'No chats yet',
    noMatch: (text) => `No chat matches “${text}”`,
    unread: (unread) => plural(unread, 'unread message', 'unread messages'),
    more: 'More',
    picture: 'Picture',
    noMessage: 'No messages yet',
    total: (unread) => `(${unread > 999 ? '999+' : unread}) Fairway`,
  },
  room: {
    choose: 'Choose a chat',
    back: 'Back to the list',
    details: 'About this chat',
    members: (members) => plural(members, 'member', 'members'),
    online: 'Online',
    typing: (names) =>
      names.length > 2
        ? `${names.length} people are typing…`
        : `${list.format(names)} ${names.length === 1 ? 'is' : 'are'} typing…`,
    gone: 'You cannot see this chat: you are not in it, or it does not exist',
    toList: 'Back to the list',
    beginning: 'This is where the chat began',
    unread: 'Unread from here',
    latest: 'To the latest',
    latestWith: (unread) => `${unread > 999 ? '999+' : unread} new`,
    history: 'Messages',
    system: tell,
  },
  message: {
    deleted: 'This message was deleted',
    edited: 'edited',
    status: { pending: 'Sending', waiting: 'Waiting for the one before', failed: 'Not sent' },
    why: (code, files) => {
      const reason = reasons[code] ?? failures[code.replace('FILE_', '')] ?? 'The server cannot be reached';
      return files.length === 0 ? reason : `${files.map((name) => `“${name}”`).join(', ')}: ${reason}`;
    },
    withoutFile: 'Send without it',
    discard: 'Discard',
    actions: (text) => `Actions for: ${text}`,
    copy: 'Copy',
    copyLink: 'Copy link',
    copied: 'Copied',
    edit: 'Edit',
    delete: 'Delete',
    readers: 'Read by',
    unread: (unread) => `not read by ${count.format(unread)}`,
    deleteTitle: 'Delete this message?',
    deleteText: 'It disappears for everyone and cannot be brought back.',
    more: 'Show all',
    picture: 'Picture',
    showPicture: (host) => `Open the picture (${host})`,
    from: (name, text) => `${name}: ${text}`,
    read: (readers) => `Read by ${count.format(readers)}`,
    notRead: (others) => `Not read by ${count.format(others)}`,
    readByNobody: 'Nobody has read it yet',
  },
  composer: {
    label: 'Message',
    placeholder: 'Write a message',
    send: 'Send',
    emoji: 'Emoji',
    findEmoji: 'Find an emoji',
    noEmoji: 'No emoji matches',
    noPicker: 'The emoji could not be loaded',
    editing: 'Editing a message',
    tooLong: (over) => `${plural(over, 'character', 'characters')} too long`,
    closed: 'You cannot send messages in this chat',
    cancelled: 'The booking was cancelled: no more messages can be sent',
    full: 'Too many messages are waiting to be sent. Send this one once you are connected',
  },
  files: {
    attach: 'Attach files',
    drop: 'Drop them here to attach them',
    chosen: 'Files to send',
    remove: (name) => `Remove ${name}`,
    tooLarge: (name, size) => `“${name}” is too large: ${size} at most`,
    empty: (name) => `“${name}” is empty and cannot be sent`,
    tooMany: (files) => `At most ${plural(files, 'file', 'files')} at a time`,
    noFiles: 'This server takes no files',
    progress: (percent) => `${percent}% sent`,
    processing: 'Getting ready',
    expired: 'This file was kept for a while and is deleted now',
    failed: (failure) => failures[failure] ?? 'This file cannot be used',
    pictures: (pictures) => (pictures === 1 ? 'Picture' : plural(pictures, 'picture', 'pictures')),
    video: 'Video',
    audio: 'Audio',
    file: 'File',
    files: (files) => plural(files, 'file', 'files'),
    open: (name) => `Open ${name}`,
    download: 'Download',
    previous: 'Previous picture',
    next: 'Next picture',
    position: (number, pictures) => `${count.format(number)} of ${count.format(pictures)}`,
    title: 'Pictures and files',
    allPictures: 'Pictures',
    all: 'All files',
    none: 'No files in this chat yet',
    notLoaded: 'It could not be loaded',
  },
  people: {
    newTitle: 'New chat',
    find: 'Find by name',
    hint: 'Type at least one character of a name',
    noMatch: (text) => `Nobody matches “${text}”`,
    noDirectory: 'This server does not search by name: enter a member number',
    byNumber: 'Member number',
    chosen: 'Chosen',
    remove: (name) => `Take ${name} out`,
    groupName: 'Name of the group (optional)',
    talk: 'Start chat',
    createGroup: 'Create group',
    offline: 'You are offline',
    refused: 'The server has refused this',
  },
  details: {
    title: 'About this chat',
    members: 'Members',
    admin: 'Admin',
    more: 'More',
    invite: 'Invite',
    inviteTitle: 'Invite people',
    rename: 'Rename',
    name: 'Name of the chat',
    appoint: 'Make admin',
    dismiss: 'Remove as admin',
    remove: 'Remove',
    removeText: (name) => `Remove ${name} from this chat?`,
    leave: 'Leave',
    leaveText: 'Leave this chat? You cannot see it again until somebody invites you.',
    actions: (name) => `Actions for ${name}`,
  },
};
