-- What a function plans lives as long as the connection. Planned while the tables were new and empty, sends together read
-- all messages at every call, until ANALYZE came by: behind 10,000 messages each cost four times as much. Everything that
-- is joined there is found by its key.
ALTER FUNCTION chat_send_messages(uuid[], uuid[], integer[], chat_message_type[], text[])
  SET enable_seqscan = off
  SET enable_hashjoin = off
  SET enable_mergejoin = off;
