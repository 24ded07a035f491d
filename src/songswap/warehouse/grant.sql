-- Tokens of users: the web app writes "SpotifyTokens" when somebody authorizes, the pipeline when it
-- refreshes. What songswap.grants says of a token holds only while its digest is that token's.

-- name: askable
SELECT u.id, t.access_token, t.refresh_token,
  CASE WHEN g.access_digest = sha256(convert_to(t.access_token, 'UTF8')) THEN g.expires_at END,
  p.fingerprint,
  (g.refresh_digest = sha256(convert_to(t.refresh_token, 'UTF8'))
    AND (g.state = 'revoked' OR (g.state = 'forbidden' AND g.ask_again_at > %(now)s))) IS TRUE
FROM "Users" u
JOIN "SpotifyTokens" t ON t.id = u.id
LEFT JOIN songswap.grants g ON g.user_id = u.id
LEFT JOIN songswap.polls p ON p.user_id = u.id
WHERE u.id BETWEEN %(first)s AND %(last)s
  AND (%(only)s::integer[] IS NULL OR u.id = ANY (%(only)s))
ORDER BY p.pace * extract(epoch FROM %(now)s - p.answered_at) DESC NULLS LAST, u.id

-- name: lock_tokens
SELECT access_token, refresh_token FROM "SpotifyTokens" WHERE id = %(user_id)s FOR UPDATE

-- name: store_tokens
UPDATE "SpotifyTokens" SET access_token = %(access_token)s, refresh_token = %(refresh_token)s
WHERE id = %(user_id)s AND refresh_token = %(spent)s

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
  ask_again_at = NULL, refused_in = NULL, problem = NULL

-- name: note_refreshed
-- A spent token that was not noted is an authorization of this very hour.
INSERT INTO songswap.grants AS g
  (user_id, state, access_digest, refresh_digest, expires_at, refreshed_at, authorized_at)
SELECT id, 'active', sha256(convert_to(access_token, 'UTF8')),
  sha256(convert_to(refresh_token, 'UTF8')), %(expires_at)s, %(now)s, %(now)s
FROM "SpotifyTokens" WHERE id = %(user_id)s AND access_token = %(access_token)s
ON CONFLICT (user_id) DO UPDATE SET
  state = 'active', access_digest = EXCLUDED.access_digest,
  refresh_digest = EXCLUDED.refresh_digest, expires_at = EXCLUDED.expires_at,
  refreshed_at = EXCLUDED.refreshed_at, ask_again_at = NULL, refused_in = NULL, problem = NULL,
  authorized_at = CASE WHEN g.refresh_digest = sha256(convert_to(%(spent)s, 'UTF8'))
    THEN g.authorized_at ELSE EXCLUDED.authorized_at END,
  warned_days = CASE WHEN g.refresh_digest = sha256(convert_to(%(spent)s, 'UTF8'))
    THEN g.warned_days END

-- name: note_state
-- Of the tokens that were noted: those of who authorizes again meanwhile are tried by the next run.
UPDATE songswap.grants
SET state = %(state)s, ask_again_at = %(ask_again_at)s, refused_in = %(run_id)s,
  problem = %(problem)s
WHERE user_id = %(user_id)s

-- name: count_refused
-- Those near their end are left out: Spotify's six months may be some days shorter than ours.
SELECT count(*)
FROM songswap.grants g JOIN songswap.grant_states(%(now)s) s ON s.user_id = g.user_id
WHERE g.state = 'refused' AND g.refused_in = %(run_id)s
  AND (s.ends_at - %(now)s <= interval '3 days') IS NOT TRUE

-- name: settle_refused
UPDATE songswap.grants g
SET state = CASE WHEN s.ends_at - %(now)s <= interval '3 days' THEN 'revoked' ELSE %(state)s END
FROM songswap.grant_states(%(now)s) s
WHERE s.user_id = g.user_id AND g.state = 'refused' AND g.refused_in = %(run_id)s
