-- Up to where the log of that epoch and the present one are the same in a room; null where it is the present one.
CREATE OR REPLACE FUNCTION chat_common_seq(p_room uuid, p_epoch uuid) RETURNS integer
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN chat_present_epoch() IS DISTINCT FROM p_epoch THEN coalesce((
    SELECT b.seq FROM chat_epochs e JOIN chat_room_epochs b ON b.epoch = e.number + 1
    WHERE e.id = p_epoch AND b.room_id = p_room), 0) END;
$$;
