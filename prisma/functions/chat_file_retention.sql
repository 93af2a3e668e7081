-- For how long the files of a room's messages are kept: as long as the room says, else as long as the server says. NULL is
-- without an end.
CREATE OR REPLACE FUNCTION chat_file_retention(p_days integer, p_default interval) RETURNS interval
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_days IS NULL THEN p_default WHEN p_days > 0 THEN p_days * interval '24 hours' END
$$;
