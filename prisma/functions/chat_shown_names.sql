-- Names ten of them and counts the others, as titles do.
CREATE OR REPLACE FUNCTION chat_shown_names(p_users integer[]) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT string_agg(chat_shown_name(u.id) || '님', ', ' ORDER BY u.place)
    || CASE WHEN cardinality(p_users) > 10 THEN ' 외 ' || cardinality(p_users) - 10 || '명' ELSE '' END
  FROM unnest(p_users[:10]) WITH ORDINALITY AS u(id, place);
$$;
