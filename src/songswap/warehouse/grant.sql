-- Tokens of users: the web app writes "SpotifyTokens" when somebody authorizes, the pipeline when it
-- refreshes. What songswap.grants says of a token holds only while its digest is that token's.

-- name: askable
SELECT u.id, t.access_token, t.refresh_token,
  CASE WHEN g.access_digest = sha256(convert_to(t.access_token, 'UTF8')) THEN g.expires_at END,
  p.fingerprint,
  (g.refresh_digest = sha256(convert_to(t.refresh_token, 'UTF8'))
    AND g.state IN ('revoked', 'forbidden')
    AND coalesce(g.ask_again_at, 'infinity') > %(now)s) IS TRUE
FROM "Users" u
JOIN "SpotifyTokens" t ON t.id = u.id
LEFT JOIN songswap.grants g ON g.user_id = u.id
LEFT JOIN songswap.polls p ON p.user_id = u.id
WHERE u.id BETWEEN %(first)s AND %(last)s
  AND (%(only)s::integer[] IS NULL OR u.id = ANY (%(only)s))
ORDER BY p.pace * extract(epoch FROM %(now)s - p.answered_at) DESC NULLS LAST, u.id

-- name: lock_tokens
-- In the order of their ids: of two who lock some of the same users, none waits for the other's.
SELECT id, access_token, refresh_token FROM "SpotifyTokens" WHERE id = ANY (%(users)s)
ORDER BY id
FOR UPDATE

-- name: store_tokens
UPDATE "SpotifyTokens" t SET access_token = n.access_token, refresh_token = n.refresh_token
FROM unnest(
  %(user_id)s::integer[], %(spent)s::text[], %(access_token)s::text[], %(refresh_token)s::text[]
) n (user_id, spent, access_token, refresh_token)
WHERE t.id = n.user_id AND t.refresh_token = n.spent

-- name: note_authorized
-- Tokens that the pipeline has not noted are an authorization. They are locked, so that nobody
-- refreshes them before they are noted.
INSERT INTO songswap.grants (user_id, refresh_digest, authorized_at)
SELECT t.id, sha256(convert_to(t.refresh_token, 'UTF8')), %(now)s
FROM "SpotifyTokens" t LEFT JOIN songswap.grants g ON g.user_id = t.id
WHERE g.refresh_digest IS DISTINCT FROM sha256(convert_to(t.refresh_token, 'UTF8'))
ORDER BY t.id
FOR UPDATE OF t
ON CONFLICT (user_id) DO UPDATE SET
  state = 'active', refresh_digest = EXCLUDED.refresh_digest,
  authorized_at = EXCLUDED.authorized_at, warned_days = NULL, refreshed_at = NULL,
  ask_again_at = NULL, refused_in = NULL, problem = NULL, refusals = 0

-- name: note_refreshed
-- A spent token that was not noted is an authorization of this very hour.
INSERT INTO songswap.grants
  (user_id, state, access_digest, refresh_digest, expires_at, refreshed_at, authorized_at,
   warned_days)
SELECT t.id, 'active', sha256(convert_to(t.access_token, 'UTF8')),
  sha256(convert_to(t.refresh_token, 'UTF8')), n.expires_at, %(now)s,
  CASE WHEN g.user_id IS NULL THEN %(now)s ELSE g.authorized_at END, g.warned_days
FROM unnest(
  %(user_id)s::integer[], %(spent)s::text[], %(access_token)s::text[], %(expires_at)s::timestamptz[]
) n (user_id, spent, access_token, expires_at)
JOIN "SpotifyTokens" t ON t.id = n.user_id AND t.access_token = n.access_token
LEFT JOIN songswap.grants g
  ON g.user_id = t.id AND g.refresh_digest = sha256(convert_to(n.spent, 'UTF8'))
ORDER BY t.id
ON CONFLICT (user_id) DO UPDATE SET
  state = 'active', access_digest = EXCLUDED.access_digest,
  refresh_digest = EXCLUDED.refresh_digest, expires_at = EXCLUDED.expires_at,
  refreshed_at = EXCLUDED.refreshed_at, authorized_at = EXCLUDED.authorized_at,
  warned_days = EXCLUDED.warned_days, ask_again_at = NULL, refused_in = NULL, problem = NULL,
  refusals = 0

-- name: note_state
-- Of the tokens that were noted: those of who authorizes again meanwhile are tried by the next run.
UPDATE songswap.grants
SET state = %(state)s, ask_again_at = %(ask_again_at)s, refused_in = %(run_id)s,
  problem = %(problem)s
WHERE user_id = %(user_id)s

-- name: count_refused
-- Those near their end are left out: Spotify's six months may be some days shorter than ours. So are
-- those who were taken for dead before, and are asked for once more.
SELECT count(*)
FROM songswap.grants g JOIN songswap.grant_states(%(now)s) s ON s.user_id = g.user_id
WHERE g.state = 'refused' AND g.refused_in = %(run_id)s AND g.refusals = 0
  AND (s.ends_at - %(now)s <= interval '3 days') IS NOT TRUE

-- name: settle_refused
-- A grant that is taken for dead is asked for again three times. The next hour's run comes well before
-- an hour is over, because this is the end of a run that may have taken long. A run that asks for some
-- users only cannot tell an incident: it leaves the decision to the hourly load.
UPDATE songswap.grants g
SET state = CASE WHEN r.dead THEN 'revoked' ELSE 'active' END,
  refusals = g.refusals + r.dead::integer,
  ask_again_at = CASE WHEN r.dead AND NOT r.over THEN %(now)s + CASE g.refusals
    WHEN 0 THEN interval '30 minutes'
    WHEN 1 THEN interval '1 day'
    WHEN 2 THEN interval '7 days'
  END END
FROM (
  SELECT user_id, over, over OR NOT %(incident)s AND NOT EXISTS (
    SELECT FROM songswap.steps WHERE run_id = %(run_id)s AND users IS NOT NULL
  ) AS dead
  FROM (
    SELECT user_id, (ends_at - %(now)s <= interval '3 days') IS TRUE AS over
    FROM songswap.grant_states(%(now)s)
  ) ends
) r
WHERE r.user_id = g.user_id AND g.state = 'refused' AND g.refused_in = %(run_id)s
