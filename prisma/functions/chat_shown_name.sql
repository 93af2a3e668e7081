CREATE OR REPLACE FUNCTION chat_shown_name(p_user integer) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT u.name FROM chat_users u WHERE u.id = p_user), '#' || p_user);
$$;
