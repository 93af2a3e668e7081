import { graphql } from '../e2e/generated/gql.js';

export const whoAmI = graphql(`
  query WhoAmI {
    viewer { id name }
  }
`);

export const createRoom = graphql(`
  mutation CreateRoom($input: CreateRoomInput!) {
    createRoom(input: $input) { created room { id type title seq members { user { id } isAdmin } } }
  }
`);

export const sendMessage = graphql(`
  mutation SendMessage($input: SendMessageInput!) {
    sendMessage(input: $input) { duplicate message { id seq content type senderName createdAt } }
  }
`);

export const createUpload = graphql(`
  mutation CreateUpload($input: CreateUploadInput!) {
    createUpload(input: $input) { method url headers { name value } expiresAt attachment { ...AnyAttachment } }
  }
`);

export const completeUpload = graphql(`
  mutation CompleteUpload($input: CompleteUploadInput!) {
    completeUpload(input: $input) { attachment { ...AnyAttachment } }
  }
`);

export const sendFiles = graphql(`
  mutation SendFiles($input: SendMessageInput!) {
    sendMessage(input: $input) { duplicate message { ...FileMessage } }
  }

  fragment FileMessage on Message {
    id
    seq
    type
    content
    deletedAt
    attachments { ...AnyAttachment }
  }

  fragment AnyAttachment on Attachment {
    id
    name
    kind
    contentType
    byteSize
    width
    height
    thumbHash
    status
    failure
    url
    thumbnailUrl(size: SMALL)
    expiresAt
  }
`);

export const fileMessages = graphql(`
  query FileMessages($roomId: ID!) {
    room(id: $roomId) { seq messages(last: 50) { edges { node { ...FileMessage } } } }
  }
`);

export const fileEvents = graphql(`
  subscription FileEvents($roomId: ID!, $afterSeq: Int) {
    roomEvents(roomId: $roomId, afterSeq: $afterSeq) {
      __typename
      seq
      ... on MessageAdded { message { ...FileMessage } }
      ... on MessageUpdated { change message { ...FileMessage } }
      ... on MessageDeleted { message { ...FileMessage } }
    }
  }
`);

export const roomFiles = graphql(`
  query RoomFiles($roomId: ID!, $first: Int, $after: String, $kind: AttachmentKind) {
    room(id: $roomId) {
      attachments(first: $first, after: $after, kind: $kind) {
        edges { cursor node { id name } message { id } }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
`);

export const uploadStatus = graphql(`
  query UploadStatus($id: ID!) {
    node(id: $id) { __typename ... on Attachment { ...AnyAttachment durationMs } }
  }
`);

export const fileLimits = graphql(`
  query FileLimits {
    limits { maxFileBytes maxAttachments maxPicturePixels maxUploadsAtOnce fileTypes filesPerMinute fileBytesPerDay }
  }
`);

export const fileAccess = graphql(`
  query FileAccess {
    fileAccess { token expiresAt }
  }
`);

export const editMessage = graphql(`
  mutation EditMessage($input: EditMessageInput!) {
    editMessage(input: $input) { message { id seq content editedAt } }
  }
`);

export const deleteMessage = graphql(`
  mutation DeleteMessage($input: DeleteMessageInput!) {
    deleteMessage(input: $input) { message { id seq content deletedAt } }
  }
`);

export const inviteMembers = graphql(`
  mutation InviteMembers($input: InviteMembersInput!) {
    inviteMembers(input: $input) { room { id seq memberCount members { user { id } } } }
  }
`);

export const removeMember = graphql(`
  mutation RemoveMember($input: RemoveMemberInput!) {
    removeMember(input: $input) { room { id seq memberCount } }
  }
`);

export const leaveRoom = graphql(`
  mutation LeaveRoom($input: LeaveRoomInput!) {
    leaveRoom(input: $input) { roomId }
  }
`);

export const renameRoom = graphql(`
  mutation RenameRoom($input: RenameRoomInput!) {
    renameRoom(input: $input) { room { id seq name title } }
  }
`);

export const setAdmin = graphql(`
  mutation SetAdmin($input: SetAdminInput!) {
    setAdmin(input: $input) { room { id seq members { user { id } isAdmin } } }
  }
`);

export const roomPosition = graphql(`
  query RoomPosition($id: ID!) {
    room(id: $id) { seq epoch }
  }
`);

export const markRead = graphql(`
  mutation MarkRead($input: MarkReadInput!) {
    markRead(input: $input) { room { id unreadCount viewerMember { lastReadSeq lastReadMessageId } } }
  }
`);

/** The same without reading the room again. */
export const moveMark = graphql(`
  mutation MoveMark($input: MarkReadInput!) {
    markRead(input: $input) { room { id } }
  }
`);

export const roomList = graphql(`
  query RoomList($first: Int, $after: String, $type: RoomType) {
    rooms(first: $first, after: $after, type: $type) {
      edges {
        cursor
        node {
          id type name title seq unreadCount memberCount updatedAt
          lastMessage { id seq content }
          members { user { id name } isAdmin lastReadSeq }
        }
      }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
`);

export const oneRoom = graphql(`
  query OneRoom($id: ID!) {
    room(id: $id) {
      id type name title bookingId seq unreadCount memberCount
      lastMessage { id seq content }
      viewerMember { lastReadSeq leftAt isAdmin }
      members(includeLeft: true) { user { id name } isAdmin joinedAt leftAt lastReadSeq }
    }
  }
`);

export const memberPage = graphql(`
  query MemberPage($id: ID!, $first: Int, $after: String) {
    room(id: $id) {
      memberPage(first: $first, after: $after) {
        totalCount
        edges { cursor node { id user { id name } isAdmin joinedAt leftAt lastReadSeq lastReadAt } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }
  }
`);

export const history = graphql(`
  query History($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
    room(id: $id) {
      messages(first: $first, after: $after, last: $last, before: $before) {
        edges { cursor node { id seq type content senderName readCount readBy { user { id } readAt } } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }
  }
`);

export const oneMessage = graphql(`
  query OneMessage($id: ID!) {
    message(id: $id) { id seq type content deletedAt editedAt senderName sender { id name } system { code users { id } } }
  }
`);

export const bookingRoom = graphql(`
  query BookingRoom($bookingId: Int!) {
    bookingRoom(bookingId: $bookingId) { id type bookingId title cancelledAt }
  }
`);

export const unread = graphql(`
  query Unread {
    unreadCount
  }
`);

export const roomEvents = graphql(`
  subscription RoomEvents($roomId: ID!, $afterSeq: Int, $epoch: ID, $reads: ReadDelivery) {
    roomEvents(roomId: $roomId, afterSeq: $afterSeq, epoch: $epoch, reads: $reads) {
      __typename
      seq
      epoch
      ... on MessageAdded { message { ...EventMessage } }
      ... on MessageUpdated { message { ...EventMessage } }
      ... on MessageDeleted { message { ...EventMessage } }
      ... on MemberRead { member { user { id } lastReadSeq } }
      ... on MembersRead { members { user { id } lastReadSeq } }
    }
  }

  fragment EventMessage on Message {
    id
    seq
    type
    content
    senderName
    sender { id name }
    system { code users { id } }
    editedAt
    deletedAt
  }
`);

export const messageAdded = graphql(`
  subscription OnMessageAdded($roomId: ID!, $afterSeq: Int, $epoch: ID) {
    messageAdded(roomId: $roomId, afterSeq: $afterSeq, epoch: $epoch) { id seq content type }
  }
`);

export const roomPositions = graphql(`
  subscription RoomPositions($roomId: ID!, $afterSeq: Int) {
    roomEvents(roomId: $roomId, afterSeq: $afterSeq) { __typename seq }
  }
`);

export const eventsWithRoom = graphql(`
  subscription EventsWithRoom($roomId: ID!) {
    roomEvents(roomId: $roomId) {
      __typename
      seq
      ... on MessageAdded {
        message {
          content
          readCount
          readBy { user { id } }
          room { seq name title memberCount members { user { id } } lastMessage { content } viewerMember { leftAt } }
        }
      }
    }
  }
`);

export const presenceOf = graphql(`
  query PresenceOf($ids: [ID!]!) {
    users(ids: $ids) { id presence { status lastSeenAt user { id } } }
  }
`);

export const presence = graphql(`
  subscription OnPresence($userIds: [ID!]!) {
    presence(userIds: $userIds) { user { id name } status lastSeenAt }
  }
`);

export const setTyping = graphql(`
  mutation SetTyping($input: SetTypingInput!) {
    setTyping(input: $input) { expiresInMs }
  }
`);

export const typing = graphql(`
  subscription OnTyping($roomId: ID!) {
    typing(roomId: $roomId) { roomId users { id name } }
  }
`);

export const typingIn = graphql(`
  query TypingIn($id: ID!) {
    room(id: $id) { typing { id name } }
  }
`);

export const inboxEvents = graphql(`
  subscription OnInbox {
    inboxEvents { kind roomId room { ...InboxRoom } }
  }

  fragment InboxRoom on Room {
    ...ListedRoom
    members { user { id } }
  }
`);

export const inbox = graphql(`
  query Inbox($after: String) {
    rooms(first: 100, after: $after) { edges { node { ...InboxRoom } } pageInfo { hasNextPage endCursor } }
  }
`);

export const listEvents = graphql(`
  subscription OnList {
    inboxEvents { kind roomId room { ...ListedRoom } }
  }

  fragment ListedRoom on Room {
    id
    type
    name
    title
    bookingId
    seq
    epoch
    unreadCount
    memberCount
    cancelledAt
    createdAt
    updatedAt
    lastMessage { id seq type content senderName createdAt editedAt deletedAt sender { id name } }
    viewerMember { id isAdmin joinedAt leftAt lastReadSeq lastReadMessageId lastReadAt user { id name } }
  }
`);

export const list = graphql(`
  query List($after: String) {
    rooms(first: 100, after: $after) { edges { node { ...ListedRoom } } pageInfo { hasNextPage endCursor } }
  }
`);

export const inboxBadges = graphql(`
  subscription OnInboxBadge {
    inboxEvents { kind room { id title seq unreadCount memberCount lastMessage { id content sender { name } } } }
  }
`);

export const searchUsers = graphql(`
  query SearchUsers($text: String!) {
    searchUsers(text: $text) { id name }
  }
`);

/** All places where a room shows its users. */
export const peopleOfRoom = graphql(`
  query PeopleOfRoom($id: ID!) {
    room(id: $id) {
      title
      members { user { id name presence { status } } }
      messages(first: 20) { edges { node { content senderName sender { name } system { users { name presence { status } } } } } }
    }
  }
`);

export const usersByIds = graphql(`
  query UsersByIds($ids: [ID!]!) {
    users(ids: $ids) { id name }
  }
`);

export const unreadMembers = graphql(`
  query UnreadMembers($id: ID!) {
    room(id: $id) { messages(last: 100) { edges { node { id type unreadMemberCount } } } }
  }
`);

export const unreadMembersOf = graphql(`
  query UnreadMembersOf($id: ID!) {
    message(id: $id) { unreadMemberCount }
  }
`);

export const firstUnread = graphql(`
  query FirstUnread($id: ID!) {
    room(id: $id) { unreadCount firstUnreadMessage { id content } }
  }
`);

export const around = graphql(`
  query Around($id: ID!, $messageId: ID!, $count: Int) {
    room(id: $id) {
      messagesAround(messageId: $messageId, count: $count) {
        edges { cursor node { seq cursor sender { name } readCount unreadMemberCount } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }
  }
`);

export const node = graphql(`
  query Node($id: ID!) {
    node(id: $id) {
      __typename
      id
      ... on Room { seq memberCount }
      ... on Message { content }
      ... on RoomMember { joinedSeq user { id name avatarUrl } }
      ... on User { name }
    }
  }
`);

export const roomWithCursors = graphql(`
  query RoomWithCursors($id: ID!) {
    room(id: $id) {
      members { id joinedSeq user { id } }
      messages(last: 100) { edges { cursor node { id seq cursor } } }
    }
  }
`);

export const addedEdges = graphql(`
  subscription AddedEdges($roomId: ID!) {
    roomEvents(roomId: $roomId) { __typename seq ... on MessageAdded { edge { cursor node { id sender { name } } } } }
  }
`);

export const readMoves = graphql(`
  subscription ReadMoves($roomId: ID!) {
    roomEvents(roomId: $roomId) { __typename ... on MemberRead { previousSeq member { lastReadSeq user { id } } } }
  }
`);

export const typingWithRoom = graphql(`
  subscription OnTypingWithRoom($roomId: ID!) {
    typing(roomId: $roomId) { room { id title unreadCount } users { id } }
  }
`);

export const viewerCan = graphql(`
  query ViewerCan($id: ID!) {
    room(id: $id) {
      viewerCanSend
      messages(first: 100) { edges { node { id type content viewerCanEdit viewerCanDelete } } }
    }
  }
`);

export const profile = graphql(`
  query Profile {
    viewer { id name avatarUrl isDeleted }
  }
`);

export const profilesInRoom = graphql(`
  query ProfilesInRoom($id: ID!) {
    room(id: $id) {
      title
      members { user { id name avatarUrl isDeleted } }
      messages(last: 10) { edges { node { content sender { id name avatarUrl isDeleted } } } }
    }
  }
`);

export const profileEvents = graphql(`
  subscription ProfileEvents($roomId: ID!) {
    roomEvents(roomId: $roomId) { __typename ... on MessageAdded { message { sender { id name avatarUrl isDeleted } } } }
  }
`);

export const updateRoom = graphql(`
  mutation UpdateRoom($input: UpdateRoomInput!) {
    updateRoom(input: $input) { room { id seq name imageUrl } }
  }
`);

export const roomLook = graphql(`
  query RoomLook($id: ID!) {
    room(id: $id) { seq name imageUrl }
  }
`);
