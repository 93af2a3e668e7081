import type { MessageStatus, TimelineMessage } from '@fairway/client';

/** What a SYSTEM message is about. */
export interface SystemEvent {
  readonly code: NonNullable<TimelineMessage['system']>['code'];
  readonly sender: string;
  readonly users: readonly string[];
  /** The server's own sentence, for what this app does not know. */
  readonly content: string | null;
}

/** Everything that the app says, in one language. */
export interface Words {
  readonly language: 'ko' | 'en';
  readonly languageName: string;
  readonly app: string;
  readonly close: string;
  readonly cancel: string;
  readonly save: string;
  readonly retry: string;
  readonly loading: string;
  readonly you: string;
  readonly signIn: {
    readonly title: string;
    readonly lead: string;
    readonly waiting: string;
    readonly again: string;
    readonly out: string;
  };
  readonly line: {
    readonly connecting: string;
    readonly reconnecting: (seconds: number) => string;
    readonly now: string;
    readonly outdated: string;
    readonly reload: string;
    readonly notKept: string;
  };
  readonly list: {
    readonly title: string;
    readonly filter: string;
    readonly clear: string;
    readonly create: string;
    readonly empty: string;
    readonly noMatch: (text: string) => string;
    readonly unread: (count: number) => string;
    readonly more: string;
    readonly picture: string;
    readonly noMessage: string;
    readonly total: (count: number) => string;
  };
  readonly room: {
    readonly choose: string;
    readonly back: string;
    readonly details: string;
    readonly members: (count: number) => string;
    readonly online: string;
    readonly typing: (names: readonly string[]) => string;
    readonly gone: string;
    readonly toList: string;
    readonly beginning: string;
    readonly unread: string;
    readonly latest: string;
    readonly latestWith: (count: number) => string;
    readonly history: string;
    readonly system: (event: SystemEvent) => string;
  };
  readonly message: {
    readonly deleted: string;
    readonly edited: string;
    readonly status: Readonly<Record<Exclude<MessageStatus, 'sent'>, string>>;
    readonly why: (code: string, files: readonly string[]) => string;
    readonly withoutFile: string;
    readonly discard: string;
    readonly actions: (text: string) => string;
    readonly copy: string;
    readonly copyLink: string;
    readonly copied: string;
    readonly edit: string;
    readonly delete: string;
    readonly readers: string;
    readonly unread: (count: number) => string;
    readonly deleteTitle: string;
    readonly deleteText: string;
    readonly more: string;
    readonly picture: string;
    readonly showPicture: (host: string) => string;
    readonly from: (name: string, text: string) => string;
    readonly read: (count: number) => string;
    readonly notRead: (count: number) => string;
    readonly readByNobody: string;
  };
  readonly composer: {
    readonly label: string;
    readonly placeholder: string;
    readonly send: string;
    readonly emoji: string;
    readonly findEmoji: string;
    readonly noEmoji: string;
    readonly noPicker: string;
    readonly editing: string;
    readonly tooLong: (over: number) => string;
    readonly closed: string;
    readonly cancelled: string;
    readonly full: string;
  };
  readonly files: {
    readonly attach: string;
    readonly drop: string;
    readonly chosen: string;
    readonly remove: (name: string) => string;
    readonly tooLarge: (name: string, size: string) => string;
    readonly empty: (name: string) => string;
    readonly tooMany: (count: number) => string;
    readonly noFiles: string;
    readonly progress: (percent: number) => string;
    readonly processing: string;
    readonly expired: string;
    readonly failed: (failure: string) => string;
    readonly pictures: (count: number) => string;
    readonly video: string;
    readonly audio: string;
    readonly file: string;
    readonly files: (count: number) => string;
    readonly open: (name: string) => string;
    readonly download: string;
    readonly previous: string;
    readonly next: string;
    readonly position: (number: number, count: number) => string;
    readonly title: string;
    readonly allPictures: string;
    readonly all: string;
    readonly none: string;
    readonly notLoaded: string;
  };
  readonly people: {
    readonly newTitle: string;
    readonly find: string;
    readonly hint: string;
    readonly noMatch: (text: string) => string;
    readonly noDirectory: string;
    readonly byNumber: string;
    readonly chosen: string;
    readonly remove: (name: string) => string;
    readonly groupName: string;
    readonly talk: string;
    readonly createGroup: string;
    readonly offline: string;
    readonly refused: string;
  };
  readonly details: {
    readonly title: string;
    readonly members: string;
    readonly admin: string;
    readonly more: string;
    readonly invite: string;
    readonly inviteTitle: string;
    readonly rename: string;
    readonly name: string;
    readonly appoint: string;
    readonly dismiss: string;
    readonly remove: string;
    readonly removeText: (name: string) => string;
    readonly leave: string;
    readonly leaveText: string;
    readonly actions: (name: string) => string;
  };
}
