-- The last position up to which a room's log in this epoch equals the current one; null if it is the current epoch.
CREATE OR REPLACE FUNCTION chat_common_seq(p_room uuid, p_epoch uuid) RETURNS integer
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN chat_present_epoch() IS DISTINCT FROM p_epoch THEN coalesce((
    SELECT b.seq FROM chat_epochs e JOIN chat_room_epochs b ON b.epoch = e.number + 1
    WHERE e.id = p_epoch AND b.room_id = p_room), 0) END;
$$;
