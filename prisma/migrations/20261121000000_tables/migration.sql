CREATE TYPE "chat_room_type" AS ENUM ('DIRECT', 'GROUP', 'BOOKING');
CREATE TYPE "chat_message_type" AS ENUM ('TEXT', 'IMAGE', 'SYSTEM');

CREATE TABLE "chat_users" (
    "id" INTEGER NOT NULL,
    "name" TEXT,
    "named_at" TIMESTAMPTZ(3),
    "last_seen_at" TIMESTAMPTZ(3),
    CONSTRAINT "chat_users_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "chat_rooms" (
    "id" UUID NOT NULL,
    "name" TEXT,
    "type" "chat_room_type" NOT NULL,
    "booking_id" INTEGER,
    "direct_key" TEXT,
    "seq" INTEGER NOT NULL DEFAULT 0,
    "published_seq" INTEGER NOT NULL DEFAULT 0,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "chat_rooms_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "chat_rooms_booking_id_key" ON "chat_rooms"("booking_id");
CREATE UNIQUE INDEX "chat_rooms_direct_key_key" ON "chat_rooms"("direct_key");
CREATE INDEX "chat_rooms_type_updated_at_idx" ON "chat_rooms"("type", "updated_at" DESC);
-- What the sweep asks for every second: rooms with entries that the stream has not acknowledged. Nearly always empty.
CREATE INDEX "chat_rooms_unpublished_idx" ON "chat_rooms"("id") WHERE "published_seq" < "seq";

CREATE TABLE "chat_room_members" (
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "room_id" UUID NOT NULL,
    "user_id" INTEGER NOT NULL,
    "is_admin" BOOLEAN NOT NULL DEFAULT false,
    "joined_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "joined_seq" INTEGER NOT NULL,
    "left_at" TIMESTAMPTZ(3),
    "last_read_seq" INTEGER NOT NULL DEFAULT 0,
    "last_read_message_id" UUID,
    "last_read_at" TIMESTAMPTZ(3),
    CONSTRAINT "chat_room_members_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "chat_room_members_room_id_user_id_key" ON "chat_room_members"("room_id", "user_id");
CREATE INDEX "chat_room_members_user_id_left_at_idx" ON "chat_room_members"("user_id", "left_at");

CREATE TABLE "chat_messages" (
    "id" UUID NOT NULL,
    "room_id" UUID NOT NULL,
    "seq" INTEGER NOT NULL,
    "changed_seq" INTEGER NOT NULL,
    "sender_id" INTEGER NOT NULL,
    "sender_name" TEXT NOT NULL,
    "type" "chat_message_type" NOT NULL DEFAULT 'TEXT',
    "content" TEXT,
    "system" JSONB,
    "sent_digest" BYTEA,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "edited_at" TIMESTAMPTZ(3),
    "deleted_at" TIMESTAMPTZ(3),
    CONSTRAINT "chat_messages_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "chat_messages_room_id_seq_key" ON "chat_messages"("room_id", "seq");
CREATE INDEX "chat_messages_room_id_created_at_idx" ON "chat_messages"("room_id", "created_at" DESC);
CREATE INDEX "chat_messages_room_id_id_idx" ON "chat_messages"("room_id", "id");
-- The second range of a replay: older messages that were changed since.
CREATE INDEX "chat_messages_changed_idx" ON "chat_messages"("room_id", "changed_seq") WHERE "changed_seq" <> "seq";

CREATE TABLE "message_reads" (
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "message_id" UUID NOT NULL,
    "room_id" UUID NOT NULL,
    "user_id" INTEGER NOT NULL,
    "seq" INTEGER NOT NULL,
    "read_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "message_reads_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "message_reads_message_id_user_id_key" ON "message_reads"("message_id", "user_id");
CREATE INDEX "message_reads_room_id_user_id_seq_idx" ON "message_reads"("room_id", "user_id", "seq");

CREATE UNLOGGED TABLE "chat_instances" (
    "id" UUID NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    CONSTRAINT "chat_instances_pkey" PRIMARY KEY ("id")
);

CREATE UNLOGGED TABLE "chat_connections" (
    "id" UUID NOT NULL,
    "instance_id" UUID NOT NULL,
    "user_id" INTEGER NOT NULL,
    "connected_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "chat_connections_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "chat_connections_user_id_idx" ON "chat_connections"("user_id");
CREATE INDEX "chat_connections_instance_id_idx" ON "chat_connections"("instance_id");

ALTER TABLE "chat_room_members" ADD CONSTRAINT "chat_room_members_room_id_fkey" FOREIGN KEY ("room_id") REFERENCES "chat_rooms"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "chat_room_members" ADD CONSTRAINT "chat_room_members_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "chat_users"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "chat_messages" ADD CONSTRAINT "chat_messages_room_id_fkey" FOREIGN KEY ("room_id") REFERENCES "chat_rooms"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "chat_messages" ADD CONSTRAINT "chat_messages_sender_id_fkey" FOREIGN KEY ("sender_id") REFERENCES "chat_users"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "message_reads" ADD CONSTRAINT "message_reads_message_id_fkey" FOREIGN KEY ("message_id") REFERENCES "chat_messages"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "message_reads" ADD CONSTRAINT "message_reads_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "chat_users"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "chat_connections" ADD CONSTRAINT "chat_connections_instance_id_fkey" FOREIGN KEY ("instance_id") REFERENCES "chat_instances"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "chat_connections" ADD CONSTRAINT "chat_connections_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "chat_users"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
