CREATE OR REPLACE FUNCTION chat_present_epoch() RETURNS uuid
LANGUAGE sql STABLE AS $$
  SELECT e.id FROM chat_epochs e ORDER BY e.number DESC LIMIT 1;
$$;
