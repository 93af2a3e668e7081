-- Ten names at most, and how many there are beside them.
CREATE OR REPLACE FUNCTION chat_shown_members(p_room uuid, p_users integer[]) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT string_agg(chat_shown_member(p_room, u.id) || '님', ', ' ORDER BY u.place)
    || CASE WHEN cardinality(p_users) > 10 THEN ' 외 ' || cardinality(p_users) - 10 || '명' ELSE '' END
  FROM unnest(p_users[1:10]) WITH ORDINALITY AS u(id, place);
$$;
