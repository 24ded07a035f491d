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
ORDER BY u.id

-- name: lock_tokens
SELECT access_token, refresh_token FROM "SpotifyTokens" WHERE id = %(user_id)s FOR UPDATE

-- name: store_tokens
UPDATE "SpotifyTokens" SET access_token = %(access_token)s, refresh_token = %(refresh_token)s
WHERE id = %(user_id)s AND refresh_token = %(spent)s

-- name: note_refreshed
INSERT INTO songswap.grants AS g
  (user_id, state, access_digest, refresh_digest, expires_at, refreshed_at)
SELECT id, 'active', sha256(convert_to(access_token, 'UTF8')),
  sha256(convert_to(refresh_token, 'UTF8')), %(expires_at)s, %(now)s
FROM "SpotifyTokens" WHERE id = %(user_id)s AND access_token = %(access_token)s
ON CONFLICT (user_id) DO UPDATE SET
  state = 'active', access_digest = EXCLUDED.access_digest,
  refresh_digest = EXCLUDED.refresh_digest, expires_at = EXCLUDED.expires_at,
  refreshed_at = EXCLUDED.refreshed_at, ask_again_at = NULL, refused_in = NULL, problem = NULL

-- name: note_state
INSERT INTO songswap.grants
  (user_id, state, refresh_digest, ask_again_at, refused_in, problem)
SELECT id, %(state)s, sha256(convert_to(refresh_token, 'UTF8')), %(ask_again_at)s, %(run_id)s,
  %(problem)s
FROM "SpotifyTokens" WHERE id = %(user_id)s
ON CONFLICT (user_id) DO UPDATE SET
  state = EXCLUDED.state, refresh_digest = EXCLUDED.refresh_digest,
  ask_again_at = EXCLUDED.ask_again_at, refused_in = EXCLUDED.refused_in,
  problem = EXCLUDED.problem

-- name: count_refused
SELECT count(*) FROM songswap.grants WHERE state = 'refused' AND refused_in = %(run_id)s

-- name: settle_refused
UPDATE songswap.grants SET state = %(state)s
WHERE state = 'refused' AND refused_in = %(run_id)s
