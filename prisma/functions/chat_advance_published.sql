-- Moves the published marks of rooms, range by range: to the end of a range only if everything before the range is
-- published, and never past the end of the log. Processes rooms in ascending order, so that two instances cannot
-- deadlock, and the ranges of a room by position.
CREATE OR REPLACE FUNCTION chat_advance_published(p_rooms uuid[], p_starts integer[], p_ends integer[])
RETURNS TABLE (id uuid, mark integer)
LANGUAGE plpgsql AS $$
DECLARE
  v_range record;
BEGIN
  FOR v_range IN
    SELECT * FROM unnest(p_rooms, p_starts, p_ends) AS r(room, first, last) ORDER BY room, first
  LOOP
    UPDATE chat_rooms r SET published_seq = least(v_range.last, r.seq)
    WHERE r.id = v_range.room AND r.published_seq >= v_range.first - 1 AND r.published_seq < least(v_range.last, r.seq);
  END LOOP;
  RETURN QUERY SELECT r.id, r.published_seq FROM chat_rooms r WHERE r.id = ANY(p_rooms);
END;
$$;
