-- In a transaction of its own, for moments only. No statement reads messages of a room by their ids: pages and replays go by
-- position.
DROP INDEX "chat_messages_room_id_id_idx";
-- A read mark stays on its page. Pages that are full already get room as their rows move away.
ALTER TABLE "chat_room_members" SET (fillfactor = 80);
