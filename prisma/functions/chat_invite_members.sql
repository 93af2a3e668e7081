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
