-- Moves the mark up to which a room's log is published, range by range: to a range's end only where everything before
-- the range is published, and never past the log's end. Rooms are taken in ascending order, so that two instances never
-- wait for each other, and a room's ranges in their order.
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
