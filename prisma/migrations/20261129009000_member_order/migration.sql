-- The members of a room, the longest first: a page is a range of it, and counting them reads nothing else.
CREATE INDEX "chat_room_members_order_idx" ON "chat_room_members"("room_id", "joined_seq", "user_id") WHERE "left_at" IS NULL;
