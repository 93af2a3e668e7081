-- Applies a state of one booking from the booking system. States may arrive in any order and several times: the members
-- are those of the highest version, the name is that of the highest version with a name, and a cancellation is final.
-- p_users NULL means no statement about members, p_name NULL none about the name; p_version NULL is older than any
-- version. The first state that arrives creates the room. The longest member is the author of the entries.
--
-- A user who left the room stays out until a list does not have them. That list may arrive late: then the newest list,
-- which has them again, takes effect for them now.
--
-- With p_only_makes it fills a room without known members, including one that was cancelled before it was created, and
-- changes no other room, whatever the version: an earlier list, even an empty one, counts as newer.
--
-- renamed: the users who have another name now.
CREATE OR REPLACE FUNCTION chat_sync_booking(
  p_id uuid, p_booking integer, p_name text, p_users integer[], p_names text[], p_version bigint, p_cancelled boolean,
  p_only_makes boolean, p_message_ids uuid[], p_language text DEFAULT 'ko'
) RETURNS TABLE (room_id uuid, created boolean, applied boolean, entry chat_messages, renamed integer[])
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_applies boolean;
  v_begins boolean;
  v_cancels boolean;
  v_names boolean;
  v_renames boolean;
  v_actor integer;
  v_gone integer[];
  v_new integer[];
  v_renamed integer[] := '{}';
  v_entries chat_messages[] := '{}';
  v_details jsonb := jsonb_build_object('language', p_language, 'isByBooking', true);
BEGIN
  INSERT INTO chat_rooms (id, type, booking_id) VALUES (p_id, 'BOOKING', p_booking) ON CONFLICT DO NOTHING;
  SELECT r.* INTO v_room FROM chat_rooms r WHERE r.booking_id = p_booking FOR NO KEY UPDATE;

  v_applies := p_users IS NOT NULL AND CASE
    WHEN p_only_makes OR p_version IS NULL THEN v_room.seq = 0 AND v_room.booking_version IS NULL
    ELSE p_version > coalesce(v_room.booking_version, -1) END;
  v_begins := v_room.seq = 0 AND v_applies AND cardinality(p_users) > 0;
  v_cancels := v_room.cancelled_at IS NULL AND p_cancelled;
  v_names := p_name IS NOT NULL AND (v_applies OR NOT p_only_makes) AND CASE
    WHEN p_version IS NULL THEN v_room.name IS NULL
    ELSE p_version > coalesce(v_room.name_version, -1) END;
  v_renames := v_names AND p_name IS DISTINCT FROM v_room.name;
  UPDATE chat_rooms r
  SET booking_version = CASE WHEN v_applies THEN p_version ELSE r.booking_version END,
      name = CASE WHEN v_names THEN p_name ELSE r.name END,
      name_version = CASE WHEN v_names THEN p_version ELSE r.name_version END,
      cancelled_at = CASE WHEN v_cancels THEN clock_timestamp() ELSE r.cancelled_at END
  WHERE r.id = v_room.id AND (v_applies OR v_names OR v_cancels);

  SELECT m.user_id INTO v_actor FROM chat_room_members m
  WHERE m.room_id = v_room.id ORDER BY m.left_at IS NOT NULL, m.joined_seq, m.user_id LIMIT 1;
  v_actor := coalesce(v_actor, p_users[1]);

  IF v_applies THEN
    v_renamed := chat_introduce_users(p_users, p_names);
    SELECT array_agg(m.user_id ORDER BY m.user_id) INTO v_gone FROM chat_room_members m
    WHERE m.room_id = v_room.id AND m.left_at IS NULL AND m.user_id <> ALL (p_users);
    UPDATE chat_room_members m SET left_version = NULL
    WHERE m.room_id = v_room.id AND m.left_version IS NOT NULL AND m.user_id <> ALL (p_users);
    SELECT array_agg(u.id ORDER BY u.place) INTO v_new
    FROM (SELECT id, min(place) AS place FROM unnest(p_users) WITH ORDINALITY AS w(id, place) GROUP BY id) u
    WHERE NOT EXISTS (
      SELECT FROM chat_room_members m
      WHERE m.room_id = v_room.id AND m.user_id = u.id AND (m.left_at IS NULL OR m.left_version IS NOT NULL));

    IF v_gone IS NOT NULL THEN
      UPDATE chat_room_members m SET left_at = clock_timestamp(), is_admin = false
      WHERE m.room_id = v_room.id AND m.user_id = ANY (v_gone);
      v_entries := v_entries || chat_append_system(p_message_ids[1], v_room.id, v_actor, 'MEMBER_REMOVED', v_gone,
        v_details);
    END IF;
  ELSIF NOT p_only_makes THEN
    SELECT array_agg(m.user_id ORDER BY m.user_id) INTO v_new FROM chat_room_members m
    WHERE m.room_id = v_room.id AND m.left_version < p_version AND m.user_id <> ALL (p_users);
  END IF;
  IF v_new IS NOT NULL THEN
    PERFORM chat_join_members(v_room.id, v_new, v_actor, true);
    v_entries := v_entries || CASE WHEN v_begins
      THEN chat_append_system(p_message_ids[2], v_room.id, v_actor, 'ROOM_CREATED', v_new, v_details)
      ELSE chat_append_system(p_message_ids[2], v_room.id, v_actor, 'MEMBERS_JOINED', v_new, v_details) END;
  END IF;
  IF v_renames AND v_room.seq > 0 THEN
    v_entries := v_entries || chat_append_system(p_message_ids[3], v_room.id, v_actor, 'ROOM_RENAMED', '{}',
      v_details || jsonb_build_object('roomName', p_name));
  END IF;
  IF (v_cancels AND v_room.seq > 0) OR (v_begins AND (v_cancels OR v_room.cancelled_at IS NOT NULL)) THEN
    v_entries := v_entries || chat_append_system(p_message_ids[4], v_room.id, v_actor, 'BOOKING_CANCELLED', '{}',
      v_details);
  END IF;

  IF cardinality(v_entries) = 0 THEN
    RETURN QUERY SELECT v_room.id, false, v_applies, NULL::chat_messages, v_renamed;
  ELSE
    RETURN QUERY SELECT v_room.id, v_begins, v_applies, e, v_renamed FROM unnest(v_entries) AS e;
  END IF;
END;
$$;
