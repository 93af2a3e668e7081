-- Begins an epoch where the present one's log lacks an entry that it is known to have had, or is in an earlier epoch
-- than is known: somebody put the database back without a word. What was written since cannot be told from what was
-- there before, so nothing counts as common. What it begins is later than p_epoch; what another caller has begun
-- meanwhile need not be.
--
-- A room that somebody holds for long puts it off, and others wait no longer than that: it is asked again.
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
