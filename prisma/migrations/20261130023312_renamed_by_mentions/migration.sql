DROP FUNCTION chat_introduce_users(integer[],text[]);
-- Stores users with names that another backend mentions. Such a name has the lowest priority: it is dated 1970, so that
-- any token or upsert replaces it. In ascending order, so that two callers cannot deadlock. Returns the users who had a
-- row before and have another name now.
CREATE OR REPLACE FUNCTION chat_introduce_users(p_users integer[], p_names text[]) RETURNS integer[]
LANGUAGE sql AS $$
  WITH before AS (SELECT u.id FROM chat_users u WHERE u.id = ANY (p_users)), written AS (
  INSERT INTO chat_users AS u (id, name, named_at)
  SELECT DISTINCT ON (h.id) h.id, h.name, CASE WHEN h.name IS NOT NULL THEN 'epoch'::timestamptz END
  FROM unnest(p_users, p_names) AS h(id, name) ORDER BY h.id, h.name
  ON CONFLICT (id) DO UPDATE SET name = excluded.name, named_at = excluded.named_at
  WHERE excluded.name IS NOT NULL AND (u.named_at IS NULL OR u.named_at <= excluded.named_at)
    AND u.name IS DISTINCT FROM excluded.name
  RETURNING u.id)
  SELECT coalesce(array_agg(w.id), '{}') FROM written w JOIN before b ON b.id = w.id;
$$;

DROP FUNCTION chat_invite_members(uuid,integer,integer[],integer,uuid,boolean,text,text[]);
-- p_vouched: all invited users may be shown by name, whoever invites them. p_names: the users' names, if a backend
-- mentions them; a refused invitation stores none. renamed: the users who have another name now.
CREATE OR REPLACE FUNCTION chat_invite_members(
  p_room uuid, p_actor integer, p_users integer[], p_max_members integer, p_message_id uuid, p_vouched boolean DEFAULT true,
  p_language text DEFAULT 'ko', p_names text[] DEFAULT NULL
) RETURNS TABLE (outcome text, direct_key text, entry chat_messages, renamed integer[])
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_room chat_rooms;
  v_new integer[];
  v_entry chat_messages;
  v_renamed integer[] := '{}';
  v_outcome text;
BEGIN
  SELECT r.* INTO v_room FROM chat_rooms r WHERE r.id = p_room FOR NO KEY UPDATE;
  SELECT coalesce(array_agg(u ORDER BY u), '{}') INTO v_new
  FROM (SELECT DISTINCT unnest(p_users) AS u) wanted WHERE NOT chat_is_member(p_room, u);
  v_outcome := CASE
    WHEN v_room.id IS NULL OR NOT chat_is_member(p_room, p_actor) THEN 'NOT_FOUND'
    WHEN v_room.type <> 'GROUP' THEN 'NOT_GROUP'
    WHEN cardinality(v_new) = 0 THEN 'UNCHANGED'
    WHEN cardinality(v_new) + (SELECT count(*) FROM chat_room_members m WHERE m.room_id = p_room AND m.left_at IS NULL)
         > p_max_members THEN 'FULL'
    ELSE 'OK' END;
  IF v_outcome IN ('OK', 'UNCHANGED') AND p_names IS NOT NULL THEN
    v_renamed := chat_introduce_users(p_users, p_names);
  END IF;
  IF v_outcome = 'OK' THEN
    PERFORM chat_confirm_member(p_room, p_actor);
    PERFORM chat_ensure_users(v_new);
    PERFORM chat_join_members(p_room, v_new, p_actor, p_vouched);
    v_entry := chat_append_system(p_message_id, p_room, p_actor, 'MEMBERS_JOINED', v_new,
      jsonb_build_object('language', p_language));
  END IF;
  RETURN QUERY SELECT v_outcome, v_room.direct_key, v_entry, v_renamed;
END;
$$;

DROP FUNCTION chat_sync_booking(uuid,integer,text,integer[],text[],bigint,boolean,boolean,uuid[],text);
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
