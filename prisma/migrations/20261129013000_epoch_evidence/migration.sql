-- As it was, and: who calls it says for how long it waits for those who write, and have all others wait behind it.
CREATE OR REPLACE FUNCTION chat_begin_epoch(p_is_sure boolean) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
  v_number integer;
  v_id uuid;
BEGIN
  LOCK TABLE chat_epochs IN EXCLUSIVE MODE;
  LOCK TABLE chat_rooms IN EXCLUSIVE MODE;
  v_id := chat_new_epoch_id();
  INSERT INTO chat_epochs (number, id, system_id, timeline, database_id)
  SELECT max(e.number) + 1, v_id, max(s.system_id), max(s.timeline), max(s.database_id)
  FROM chat_epochs e, chat_server_identity() s RETURNING number INTO v_number;
  IF p_is_sure THEN
    INSERT INTO chat_room_epochs (room_id, epoch, seq) SELECT r.id, v_number, r.seq FROM chat_rooms r WHERE r.seq > 0;
  END IF;
  DELETE FROM chat_room_epochs b WHERE b.epoch <= v_number - 8;
  DELETE FROM chat_epochs e WHERE e.number <= v_number - 8;
  UPDATE chat_rooms r SET published_seq = r.seq WHERE r.published_seq > r.seq;
  RETURN v_id;
END;
$$;

-- As it was. A room that somebody holds for long puts it off, and others wait no longer than that: it is asked again.
CREATE OR REPLACE FUNCTION chat_doubt_epoch(p_epoch uuid, p_room uuid, p_seq integer, p_message uuid, p_is_added boolean)
RETURNS uuid
LANGUAGE plpgsql
SET lock_timeout = '2s'
AS $$
DECLARE
  v_present uuid := chat_present_epoch();
BEGIN
  IF v_present > p_epoch OR v_present = p_epoch AND chat_has_entry(p_room, p_seq, p_message, p_is_added) THEN
    RETURN v_present;
  END IF;
  LOCK TABLE chat_epochs IN EXCLUSIVE MODE;
  IF chat_present_epoch() <> v_present THEN
    RETURN chat_present_epoch();
  END IF;
  RETURN chat_begin_epoch(false);
END;
$$;

-- Whether nothing speaks against it: the log reaches as far, and the position is no other message's. A message whose row is
-- gone says nothing, as somebody may have had to erase it.
CREATE OR REPLACE FUNCTION chat_has_entry(p_room uuid, p_seq integer, p_message uuid, p_is_added boolean) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
  SELECT EXISTS (SELECT FROM chat_rooms r WHERE r.id = p_room AND r.seq >= p_seq)
    AND (p_message IS NULL OR NOT EXISTS (
      SELECT FROM chat_messages m WHERE m.room_id = p_room AND m.seq = p_seq AND (m.id <> p_message OR NOT p_is_added)
    ) AND NOT EXISTS (
      SELECT FROM chat_messages m
      WHERE m.room_id = p_room AND m.changed_seq = p_seq AND m.changed_seq <> m.seq AND (m.id <> p_message OR p_is_added)
    ));
$$;
