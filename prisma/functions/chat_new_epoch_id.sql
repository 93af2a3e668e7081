-- A UUID of version 7, later than all before it: the greater of two epochs is the newer one. It is also later than
-- p_known, an epoch that the caller knows and this database may never have had: with a slow clock, the new epoch would
-- otherwise be earlier, and no instance would use it.
CREATE OR REPLACE FUNCTION chat_new_epoch_id(p_known uuid DEFAULT NULL) RETURNS uuid
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
