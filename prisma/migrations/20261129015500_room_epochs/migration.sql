-- Every room that is there when an epoch begins has a row of that epoch: one without was made since. Before, those had none
-- of which nothing is common, and were told from newer ones by two times of clocks that may differ.
INSERT INTO chat_room_epochs (room_id, epoch, seq)
SELECT r.id, e.number, 0 FROM chat_rooms r JOIN chat_epochs e ON e.number > 1 AND r.created_at < e.began_at
WHERE NOT EXISTS (SELECT FROM chat_room_epochs b WHERE b.room_id = r.id AND b.epoch = e.number);

-- As it was, and with a row for each room: of one that is not sure, that nothing is common.
CREATE OR REPLACE FUNCTION chat_begin_epoch(p_is_sure boolean, p_known uuid DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
  v_number integer;
  v_id uuid;
BEGIN
  LOCK TABLE chat_epochs IN EXCLUSIVE MODE;
  LOCK TABLE chat_rooms IN EXCLUSIVE MODE;
  v_id := chat_new_epoch_id(p_known);
  INSERT INTO chat_epochs (number, id, system_id, timeline, database_id)
  SELECT max(e.number) + 1, v_id, max(s.system_id), max(s.timeline), max(s.database_id)
  FROM chat_epochs e, chat_server_identity() s RETURNING number INTO v_number;
  INSERT INTO chat_room_epochs (room_id, epoch, seq)
  SELECT r.id, v_number, CASE WHEN p_is_sure THEN r.seq ELSE 0 END FROM chat_rooms r;
  DELETE FROM chat_room_epochs b WHERE b.epoch <= v_number - 8;
  DELETE FROM chat_epochs e WHERE e.number <= v_number - 8;
  UPDATE chat_rooms r SET published_seq = r.seq WHERE r.published_seq > r.seq;
  RETURN v_id;
END;
$$;

-- As it was. A room that somebody holds puts it off: the connection is refused within 5 s, and the next one tries again.
CREATE OR REPLACE FUNCTION chat_follow_server(p_known uuid DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql
SET lock_timeout = '2500ms'
AS $$
DECLARE
  v_present chat_epochs;
  v_server record;
BEGIN
  LOCK TABLE chat_epochs IN EXCLUSIVE MODE;
  SELECT * INTO v_present FROM chat_epochs e ORDER BY e.number DESC LIMIT 1;
  SELECT * INTO v_server FROM chat_server_identity();
  IF v_server.system_id <> v_present.system_id OR v_server.timeline <> v_present.timeline
    OR v_server.database_id <> v_present.database_id
  THEN
    RETURN chat_begin_epoch(true, p_known);
  END IF;
  UPDATE chat_epochs e SET system_id = coalesce(e.system_id, v_server.system_id),
    timeline = coalesce(e.timeline, v_server.timeline), database_id = coalesce(e.database_id, v_server.database_id)
  WHERE e.number = v_present.number;
  RETURN v_present.id;
END;
$$;
