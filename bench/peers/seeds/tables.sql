-- What Prisma's migration of schema.prisma would create.
CREATE TYPE "RoomType" AS ENUM ('DIRECT', 'GROUP', 'BOOKING');
CREATE TYPE "MessageType" AS ENUM ('TEXT', 'IMAGE', 'SYSTEM');

CREATE TABLE chat_rooms (
  id uuid PRIMARY KEY,
  name text,
  type "RoomType" NOT NULL,
  booking_id integer,
  created_at timestamptz(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at timestamptz(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX ON chat_rooms (type, updated_at DESC);

CREATE TABLE chat_room_members (
  id uuid PRIMARY KEY,
  room_id uuid NOT NULL REFERENCES chat_rooms (id) ON UPDATE CASCADE ON DELETE RESTRICT,
  user_id integer NOT NULL,
  user_name text NOT NULL,
  joined_at timestamptz(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  left_at timestamptz(3),
  is_admin boolean NOT NULL DEFAULT false,
  last_read_message_id uuid,
  last_read_at timestamptz(3)
);
CREATE INDEX ON chat_room_members (user_id, left_at);
CREATE INDEX ON chat_room_members (room_id, user_id);

CREATE TABLE chat_messages (
  id uuid PRIMARY KEY,
  room_id uuid NOT NULL REFERENCES chat_rooms (id) ON UPDATE CASCADE ON DELETE RESTRICT,
  sender_id integer NOT NULL,
  sender_name text NOT NULL,
  content text NOT NULL,
  type "MessageType" NOT NULL DEFAULT 'TEXT',
  created_at timestamptz(3) NOT NULL,
  deleted_at timestamptz(3)
);
CREATE INDEX ON chat_messages (room_id, created_at DESC);
CREATE INDEX ON chat_messages (room_id, id);

-- No foreign key: somebody may have read a message before it is stored.
CREATE TABLE message_reads (
  id uuid PRIMARY KEY,
  message_id uuid NOT NULL,
  user_id integer NOT NULL,
  read_at timestamptz(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX ON message_reads (message_id, user_id);
