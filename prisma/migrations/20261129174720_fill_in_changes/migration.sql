-- In a transaction of its own: adding the columns holds the whole table, for a moment; this only messages that were
-- changed before, found by chat_messages_changed_idx. Changes from then on fill in both columns themselves.
UPDATE "chat_messages"
SET "change" = (CASE WHEN "deleted_at" IS NULL THEN 'EDITED' ELSE 'DELETED' END)::"chat_message_change",
    "changed_at" = greatest("edited_at", "deleted_at")
WHERE "changed_seq" <> "seq" AND "change" IS NULL;
