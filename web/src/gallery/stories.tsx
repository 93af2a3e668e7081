import type { ReactNode } from 'react';
import { App } from '../app/app.js';
import { Details } from '../details/details.js';
import { DropTarget } from '../files/drop-area.js';
import { RoomFiles } from '../files/room-files.js';
import { Tray } from '../files/tray.js';
import { Viewer } from '../files/viewer.js';
import { RoomList } from '../list/room-list.js';
import { NewRoom } from '../people/new-room.js';
import { Conversation } from '../room/conversation.js';
import { Readers } from '../room/readers.js';
import { SignIn } from '../session/sign-in.js';
import { createFakeFairway, type FakeState } from './fake-fairway.js';
import {
  chosen,
  details,
  kim,
  lee,
  long,
  onTheWay,
  park,
  refused,
  roomFiles,
  rooms,
  snapshot,
  troubled,
  usual,
  viewed,
  withFiles,
  withPictures,
} from './samples.js';

export interface Story {
  readonly name: string;
  readonly state: FakeState;
  readonly show: () => ReactNode;
  /** In pixels; a phone by default. */
  readonly width?: number;
  /** Whether the address names the room. */
  readonly isInRoom?: boolean;
}

const { id: roomId } = details;
const none = () => undefined;
const conversation = () => <Conversation roomId={roomId} messageId={null} />;
const list =
  (openId: string | null = null) =>
  () => <RoomList openId={openId} />;
const offline = { status: 'reconnecting', transport: null, retryAt: Date.now() + 25_000 } as const;
const inRoom = (more = {}): FakeState => ({
  viewer: kim,
  rooms: { rooms, unreadCount: 4_336 },
  room: snapshot(more),
  online: ['5'],
});

/** Every part of the app in every state. */
export const stories: readonly Story[] = [
  { name: 'app', width: 1_080, isInRoom: true, state: inRoom(), show: () => <App /> },
  { name: 'sign-in', state: { viewer: null, connection: { status: 'signedOut' } }, show: () => <SignIn /> },
  { name: 'list', state: inRoom(), show: list(roomId) },
  { name: 'list-loading', state: { viewer: kim, rooms: { status: 'loading' } }, show: list() },
  { name: 'list-empty', state: { viewer: kim }, show: list() },
  { name: 'list-offline', state: { ...inRoom(), connection: offline }, show: list() },
  { name: 'list-not-kept', state: { ...inRoom(), connection: { isStorageDurable: false } }, show: list() },
  { name: 'room', state: inRoom(), show: conversation },
  {
    name: 'room-typing',
    state: inRoom({
      typing: [
        { id: '5', name: lee.name },
        { id: '6', name: park.name },
      ],
    }),
    show: conversation,
  },
  {
    name: 'room-loading',
    state: inRoom({ status: 'loading', room: null, messages: [], members: [] }),
    show: conversation,
  },
  { name: 'room-empty', state: inRoom({ messages: usual.slice(0, 1), firstUnreadId: null }), show: conversation },
  { name: 'room-gone', state: inRoom({ status: 'gone' }), show: conversation },
  {
    name: 'room-unsent',
    state: { ...inRoom({ messages: troubled, firstUnreadId: null }), connection: offline },
    show: conversation,
  },
  {
    name: 'room-closed',
    state: inRoom({
      room: {
        ...details,
        type: 'BOOKING',
        viewerCanSend: false,
        cancelledAt: '2026-11-30T01:00:00Z',
        title: '예약 #1042',
      },
    }),
    show: conversation,
  },
  {
    name: 'room-draft',
    state: inRoom({ draft: '여덟 줄까지 자랍니다\n2\n3\n4\n5\n6\n7\n8\n9\n10' }),
    show: conversation,
  },
  ...Object.entries({ withPictures, withFiles, onTheWay, refused }).map(([what, messages]): Story => {
    const name = `room-${what.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    return { name, state: inRoom({ messages, firstUnreadId: null }), show: conversation };
  }),
  { name: 'tray', state: inRoom(), show: () => <Tray chosen={chosen} onRemove={none} /> },
  { name: 'drop-target', state: inRoom(), show: () => <DropTarget /> },
  {
    name: 'viewer',
    state: inRoom(),
    show: () => <Viewer pictures={viewed} firstId={viewed[1]?.attachment.id ?? ''} onClose={none} />,
  },
  {
    name: 'room-files',
    state: { ...inRoom(), files: roomFiles },
    show: () => <RoomFiles roomId={roomId} />,
  },
  {
    name: 'details',
    state: inRoom(),
    show: () => <Details snapshot={snapshot()} room={none as never} viewerId={kim.id} onClose={none} />,
  },
  {
    name: 'readers',
    state: inRoom(),
    show: () => <Readers snapshot={snapshot()} room={none as never} message={usual[9] as never} onClose={none} />,
  },
  { name: 'new-room', state: { viewer: kim, found: [lee, park, long] }, show: () => <NewRoom onClose={none} /> },
];

export const clientOf = ({ state }: Story) => createFakeFairway(state);
