-- Begins an epoch, while all writers are locked out. p_is_sure: nothing was written since the log changed, so the whole
-- log is common with the previous epoch; otherwise nothing counts as common. Adds a row of the epoch for every room.
-- The new epoch is later than p_known. The last eight epochs are kept.
--
-- Callers set how long it waits for writers; all later writers wait behind it.
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
