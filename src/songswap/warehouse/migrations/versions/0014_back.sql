-- The functions as they were before.
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
CREATE OR REPLACE FUNCTION songswap.grant_states(moment timestamptz DEFAULT now())
RETURNS TABLE (
  user_id integer, state text, authorized_at timestamptz, ends_at timestamptz,
  refreshed_at timestamptz, problem text
)
LANGUAGE sql STABLE AS $$
  SELECT t.id,
    CASE
      WHEN grant_states.moment >= g.ends_at THEN 'expired'
      WHEN g.state IN ('revoked', 'forbidden', 'lost') THEN g.state
      WHEN g.ends_at - grant_states.moment <= interval '30 days' THEN 'expiring'
      ELSE 'active'
    END,
    g.authorized_at, g.ends_at, g.refreshed_at, g.problem
  FROM "SpotifyTokens" t
  LEFT JOIN (
    SELECT *, (authorized_at AT TIME ZONE 'UTC' + interval '6 months') AT TIME ZONE 'UTC' AS ends_at
    FROM songswap.grants
  ) g ON g.user_id = t.id AND g.refresh_digest = sha256(convert_to(t.refresh_token, 'UTF8'))
$$;
CREATE OR REPLACE FUNCTION songswap.users_to_poll(moment timestamptz DEFAULT now())
RETURNS TABLE (
  user_id integer, polled_at timestamptz, answered_at timestamptz, plays_per_hour real,
  waits_since timestamptz
)
LANGUAGE sql STABLE AS $$
  SELECT u.id,
    CASE WHEN p.polled_at BETWEEN g.authorized_at AND users_to_poll.moment THEN p.polled_at END,
    CASE
      WHEN p.answered_at > users_to_poll.moment THEN users_to_poll.moment - interval '1 hour'
      ELSE p.answered_at
    END,
    p.plays_per_hour, coalesce(p.answered_at, g.authorized_at)
  FROM "Users" u
  JOIN "SpotifyTokens" t ON t.id = u.id AND t.refresh_token IS NOT NULL
  LEFT JOIN songswap.grants g
    ON g.user_id = u.id AND g.refresh_digest = sha256(convert_to(t.refresh_token, 'UTF8'))
  LEFT JOIN songswap.polls p ON p.user_id = u.id
  WHERE ((g.state IN ('revoked', 'lost') OR g.state = 'forbidden' AND g.refused_in IS NULL)
    AND coalesce(g.ask_again_at, 'infinity') > users_to_poll.moment) IS NOT TRUE
$$;
ALTER TABLE songswap.grants DROP COLUMN refused_at;
DROP TABLE songswap.disconnects, songswap.erasure_places, songswap.erasures;
