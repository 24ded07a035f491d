ALTER TABLE songswap.runs ADD COLUMN alive_until timestamptz;
COMMENT ON COLUMN songswap.runs.alive_until IS
  'The end of the lease that the processes which work on the run renew, by the server''s clock.';
COMMENT ON COLUMN songswap.runs.held IS
  'Whether one process does the whole run: it is dead when its lease has ended.';

CREATE OR REPLACE FUNCTION songswap.dead_runs(moment timestamptz DEFAULT now())
RETURNS TABLE (run_id text, last_sign timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT r.run_id, s.last_sign
  FROM songswap.runs r
  CROSS JOIN LATERAL (
    SELECT greatest(r.started_at, max(ended_at)) AS last_sign
    FROM songswap.steps WHERE steps.run_id = r.run_id
  ) s
  WHERE r.state = 'running'
    AND (r.held OR s.last_sign < moment - interval '10 minutes' OR songswap.is_overtaken(r))
    AND (r.alive_until > statement_timestamp()) IS NOT TRUE
$$;
COMMENT ON FUNCTION songswap.dead_runs IS
  'Runs that are noted as running though nobody works on them: no process has renewed the lease of the
run, and it is one that a single process does, or has given no sign of life for ten minutes, or a later
one has ended.';

-- A row of "SpotifyTokens" may be there before its tokens are, and its id may be a bigint.
CREATE OR REPLACE FUNCTION songswap.current_tokens()
RETURNS TABLE (user_id integer, access_token bytea, refresh_token bytea, expires_at timestamptz,
  platform_digest bytea)
LANGUAGE sql STABLE AS $$
  SELECT t.id::integer,
    coalesce(k.access_token, convert_to(t.access_token, 'UTF8'), ''::bytea),
    coalesce(k.refresh_token, convert_to(t.refresh_token, 'UTF8')), k.expires_at,
    sha256(convert_to(t.refresh_token, 'UTF8'))
  FROM "SpotifyTokens" t
  LEFT JOIN songswap.tokens k ON k.user_id = t.id
    AND k.platform_digest = sha256(convert_to(t.refresh_token, 'UTF8'))
  WHERE t.refresh_token IS NOT NULL
$$;
