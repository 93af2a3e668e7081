-- The single characters and the pairs of characters of a text. Its declared cost is high compared with an index lookup,
-- so that the planner never computes it for a whole table. The index chat_users_grams_idx is built with it, so a change
-- needs a new index.
CREATE OR REPLACE FUNCTION chat_grams(p_text text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS $$
DECLARE
  v_grams text[] := '{}';
BEGIN
  FOR v_at IN 1 .. length(p_text) LOOP
    v_grams := v_grams || substr(p_text, v_at, 1);
    IF v_at < length(p_text) THEN v_grams := v_grams || substr(p_text, v_at, 2); END IF;
  END LOOP;
  RETURN v_grams;
END;
$$;
