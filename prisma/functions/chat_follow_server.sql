-- Begins an epoch if this is not the server of the current epoch; stores the parts of the server's identity that were
-- unknown until now. A new epoch is later than p_known.
--
-- If a transaction holds a room, the call fails: the connection is refused within 5 s, and the next one tries again.
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
