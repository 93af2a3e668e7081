-- Begins an epoch if the current log lacks an entry that it is known to have had, or if a later epoch is known: then
-- the database was restored without a notice. Entries written since cannot be told from older ones, so nothing counts
-- as common. An epoch that is begun here is later than p_epoch; one that another caller has begun meanwhile need not
-- be.
--
-- If a transaction holds a room for long, the call fails, and other writers wait no longer than until then. It is
-- retried.
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
