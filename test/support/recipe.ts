import { gql } from '@apollo/client';
import type { Client } from 'graphql-ws';
import { WebSocket } from 'ws';
import { createApolloClient } from '../../clients/apollo-client.js';
import { watchLive as watchApolloLive } from '../../clients/apollo-live.js';
import * as apolloRoom from '../../clients/apollo-room.js';
import * as apolloRooms from '../../clients/apollo-rooms.js';
import type { Attachment } from '../../clients/attachments.js';
import type { FreshToken } from '../../clients/resume.js';
import { createUrqlClient } from '../../clients/urql.js';
import { watchLive as watchUrqlLive } from '../../clients/urql-live.js';
import * as urqlRoom from '../../clients/urql-room.js';
import * as urqlRooms from '../../clients/urql-rooms.js';
import { readOperation, type Shown } from './store-line.js';

// As docs/clients.md says it for Node 20: without it, Apollo's link does not recognise a refusal.
globalThis.WebSocket ??= WebSocket as unknown as typeof globalThis.WebSocket;

type Variables = Record<string, unknown>;
type OnEnd = (code: string) => void;

export interface Draft {
  readonly id: string;
  readonly roomId: string;
  readonly content: string;
  readonly sender: { readonly id: string; readonly name: string };
  readonly attachments?: readonly Attachment[];
}

export interface ShownWithFiles extends Shown {
  readonly type: string;
  readonly attachments: readonly Attachment[];
}

export interface Page {
  readonly room: {
    readonly messages: {
      readonly edges: readonly { readonly node: ShownWithFiles }[];
      readonly pageInfo: { readonly startCursor: string };
    };
  } | null;
}

export interface List {
  readonly rooms: {
    readonly edges: readonly {
      readonly node: {
        readonly id: string;
        readonly unreadCount: number;
        readonly lastMessage: { readonly content: string };
      };
    }[];
  };
}

/** A library with its store, as its recipe sets it up. Operations are texts. */
export interface Recipe {
  watchRoom(roomId: string, onEnd: OnEnd, onReady?: () => void): () => void;
  watchRooms(onEnd: OnEnd): () => void;
  watchLive(operation: string, variables: Variables, onEnd: OnEnd, onNext?: (data: unknown) => void): () => void;
  sendMessage(message: Draft): Promise<void>;
  /** Asks the server, and puts the answer into the store. */
  query(operation: string, variables: Variables): Promise<unknown>;
  mutate(operation: string, variables: Variables): Promise<unknown>;
  /** Reads what the store has, with what is sent but not answered. */
  read(operation: string, variables: Variables): unknown;
  /** Reads the page before the oldest message, as a view does. */
  loadOlder(roomId: string): Promise<unknown>;
  stop(): void;
}

export const texts = {
  RoomPage: readOperation('RoomPage'),
  RoomEvents: readOperation('RoomEvents'),
  SendMessage: readOperation('SendMessage'),
  RoomList: readOperation('RoomList'),
  InboxEvents: readOperation('InboxEvents'),
} as const;

export function openApollo(url: string, socket: Client, freshToken: FreshToken): Recipe {
  const client = createApolloClient(url, socket, freshToken);
  const documents = {
    RoomPage: gql(texts.RoomPage),
    RoomEvents: gql(texts.RoomEvents),
    SendMessage: gql(texts.SendMessage),
    RoomList: gql(texts.RoomList),
    InboxEvents: gql(texts.InboxEvents),
  };
  return {
    watchRoom: (roomId, onEnd, onReady) => apolloRoom.watchRoom(client, documents, roomId, onEnd, onReady),
    watchRooms: (onEnd) => apolloRooms.watchRooms(client, documents, onEnd),
    watchLive: (operation, variables, onEnd, onNext) =>
      watchApolloLive(client, gql(operation), variables, onEnd, onNext),
    sendMessage: (message) => apolloRoom.sendMessage(client, documents, message),
    query: async (operation, variables) =>
      (await client.query({ query: gql(operation), variables, fetchPolicy: 'network-only' })).data,
    mutate: async (operation, variables) => (await client.mutate({ mutation: gql(operation), variables })).data,
    read: (operation, variables) => client.readQuery({ query: gql(operation), variables }, true) ?? undefined,
    loadOlder: (roomId) => {
      const query = client.watchQuery<Page>({
        query: documents.RoomPage,
        variables: { roomId, last: apolloRoom.pageSize },
      });
      const subscription = query.subscribe(() => undefined);
      const { data } = query.getCurrentResult();
      const before = (data as Page).room?.messages.pageInfo.startCursor;
      return query.fetchMore({ variables: { before } }).finally(() => subscription.unsubscribe());
    },
    stop: () => client.stop(),
  };
}

export function openUrql(url: string, socket: Client, freshToken: FreshToken): Recipe {
  const client = createUrqlClient(url, socket, freshToken);
  const network = { requestPolicy: 'network-only' } as const;
  const read = (operation: string, variables: Variables): unknown =>
    client.readQuery(operation, variables, { requestPolicy: 'cache-only' })?.data ?? undefined;
  const query = async (operation: string, variables: Variables): Promise<unknown> => {
    const { data, error } = await client.query<unknown>(operation, variables, network);
    if (error !== undefined) throw error;
    return data;
  };
  return {
    watchRoom: (roomId, onEnd, onReady) => urqlRoom.watchRoom(client, texts, roomId, onEnd, onReady),
    watchRooms: (onEnd) => urqlRooms.watchRooms(client, texts, onEnd),
    watchLive: (operation, variables, onEnd, onNext) => watchUrqlLive(client, operation, variables, onEnd, onNext),
    sendMessage: (message) => urqlRoom.sendMessage(client, texts, message),
    query,
    mutate: async (operation, variables) => {
      const { data, error } = await client.mutation<unknown>(operation, variables);
      if (error !== undefined) throw error;
      return data;
    },
    read,
    loadOlder: (roomId) => {
      const variables = { roomId, last: urqlRoom.pageSize };
      const before = (read(texts.RoomPage, variables) as Page).room?.messages.pageInfo.startCursor;
      return query(texts.RoomPage, { ...variables, before });
    },
    stop: () => undefined,
  };
}
