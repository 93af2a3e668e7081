-- A new epoch is later than all that the caller knows of, also those of lives that this database has never seen: by a clock
-- that is behind theirs it would be an earlier one, and nobody would use it. Where p_known is null, nothing is known.
DROP FUNCTION chat_new_epoch_id();
CREATE FUNCTION chat_new_epoch_id(p_known uuid DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  v_ms bigint;
BEGIN
  SELECT greatest(
    floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint,
    ('x' || lpad(left(replace(greatest(max(e.id::text), p_known::text), '-', ''), 12), 16, '0'))::bit(64)::bigint + 1
  ) INTO v_ms FROM chat_epochs e;
  RETURN encode(
    set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send(v_ms) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1),
    'hex')::uuid;
END;
$$;

-- As it was, and later than p_known.
DROP FUNCTION chat_begin_epoch(boolean);
CREATE FUNCTION chat_begin_epoch(p_is_sure boolean, p_known uuid DEFAULT NULL) RETURNS uuid
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
  IF p_is_sure THEN
    INSERT INTO chat_room_epochs (room_id, epoch, seq) SELECT r.id, v_number, r.seq FROM chat_rooms r WHERE r.seq > 0;
  END IF;
  DELETE FROM chat_room_epochs b WHERE b.epoch <= v_number - 8;
  DELETE FROM chat_epochs e WHERE e.number <= v_number - 8;
  UPDATE chat_rooms r SET published_seq = r.seq WHERE r.published_seq > r.seq;
  RETURN v_id;
END;
$$;

-- As it was, and what it begins is later than p_known.
DROP FUNCTION chat_follow_server();
CREATE FUNCTION chat_follow_server(p_known uuid DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql
SET lock_timeout = '60s'
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

-- As it was, and what it begins is later than p_epoch. What another caller has begun meanwhile need not be.
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
  v_present := chat_present_epoch();
  IF v_present > p_epoch THEN
    RETURN v_present;
  END IF;
  RETURN chat_begin_epoch(false, p_epoch);
END;
$$;
