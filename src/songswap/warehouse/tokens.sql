-- Users' newest tokens, and the claims to exchange them.

-- name: hold_users
-- Until the end of the transaction: one of them who is deleted meanwhile would break the foreign keys of the
-- rows of all.
SELECT FROM "Users" WHERE id = ANY (%(users)s) ORDER BY id FOR KEY SHARE

-- name: record_cut_off
-- The spool of each holder whose claim the next statement takes over: the token's successor may be there.
-- Both compare with now(), the beginning of their transaction, and so find the same claims expired.
INSERT INTO songswap.cut_off_exchanges (user_id, holder, refresh_digest, spool_id)
SELECT user_id, holder, refresh_digest, spool_id FROM songswap.token_exchanges
WHERE user_id = ANY (%(users)s) AND claimed_until < now() AND holder <> %(holder)s
  AND spool_id IS NOT NULL
ORDER BY user_id
FOR UPDATE
ON CONFLICT (user_id, holder) DO UPDATE SET
  refresh_digest = EXCLUDED.refresh_digest, spool_id = EXCLUDED.spool_id

-- name: claim
-- An expired claim is taken over, and keeps the digest and time of the token that was sent under it.
INSERT INTO songswap.token_exchanges AS e
  (user_id, refresh_digest, begun_at, holder, claimed_until)
SELECT id, '', %(now)s, %(holder)s, clock_timestamp() + %(lease)s
FROM "Users" WHERE id = ANY (%(users)s) ORDER BY id
ON CONFLICT (user_id) DO UPDATE SET
  holder = EXCLUDED.holder, claimed_until = EXCLUDED.claimed_until, spool_id = NULL
WHERE e.holder = EXCLUDED.holder OR e.claimed_until < now()
RETURNING user_id

-- name: current
-- With unanswered_at: when this very refresh token was sent before, without a known result.
SELECT c.user_id, c.access_token, c.refresh_token, e.begun_at AS unanswered_at
FROM songswap.current_tokens() c
LEFT JOIN songswap.token_exchanges e
  ON e.user_id = c.user_id AND e.refresh_digest = sha256(c.refresh_token)
WHERE c.user_id = ANY (%(users)s)

-- name: begin
-- Before a token is sent. One that is sent again keeps the time at which it was sent first.
UPDATE songswap.token_exchanges e SET
  refresh_digest = sha256(c.refresh_token), spool_id = %(spool_id)s,
  begun_at = CASE WHEN e.refresh_digest = sha256(c.refresh_token) THEN e.begun_at ELSE %(now)s END
FROM songswap.current_tokens() c
WHERE e.user_id = c.user_id AND e.holder = %(holder)s AND e.user_id = ANY (%(users)s)

-- name: renew
-- By the server's clock, which is the same for all holders.
UPDATE songswap.token_exchanges SET claimed_until = clock_timestamp() + %(lease)s
WHERE user_id = ANY (%(users)s) AND holder = %(holder)s

-- name: release
-- The result is unknown, so the digest of the token that was sent stays. Without a holder it differs from
-- a claim whose process was killed; without a spool, for its successor is in none.
UPDATE songswap.token_exchanges SET holder = 0, claimed_until = clock_timestamp(), spool_id = NULL
WHERE user_id = ANY (%(users)s) AND holder = %(holder)s

-- name: orphaned
-- Users whose exchange was cut off with its process. Spotify may give the successor of their token for
-- some more minutes.
SELECT user_id FROM songswap.token_exchanges
WHERE holder <> 0 AND claimed_until < clock_timestamp() AND begun_at > %(now)s - interval '1 hour'
ORDER BY user_id

-- name: end
-- Claims whose token was not sent, or was refused.
DELETE FROM songswap.token_exchanges WHERE user_id = ANY (%(users)s) AND holder = %(holder)s

-- name: store
-- Without a lock on rows of "SpotifyTokens": when the web app writes another token, before or meanwhile,
-- the digest differs from that of its token.
INSERT INTO songswap.tokens
  (user_id, access_token, refresh_token, expires_at, platform_digest, stored_at)
SELECT c.user_id, n.access_token, n.refresh_token, n.expires_at, c.platform_digest, %(now)s
FROM unnest(
  %(user_id)s::integer[], %(old_digest)s::bytea[], %(access_token)s::bytea[],
  %(refresh_token)s::bytea[], %(expires_at)s::timestamptz[]
) n (user_id, old_digest, access_token, refresh_token, expires_at)
JOIN songswap.current_tokens() c ON c.user_id = n.user_id AND sha256(c.refresh_token) = n.old_digest
ORDER BY c.user_id
ON CONFLICT (user_id) DO UPDATE SET
  access_token = EXCLUDED.access_token, refresh_token = EXCLUDED.refresh_token,
  expires_at = EXCLUDED.expires_at, platform_digest = EXCLUDED.platform_digest,
  stored_at = EXCLUDED.stored_at
RETURNING user_id

-- name: keep_sign_in
-- Of users who are erased and keep their account. Spotify takes the old token no more: without the new one
-- the web app would have to ask them to sign in again. Only in place of the token that it replaces, and
-- nothing of it stays with the pipeline. It is no new authorization, so the erasure has its digest.
WITH erased AS (
  SELECT e.erasure_id, e.user_id, n.old_digest, n.access_token, n.refresh_token
  FROM unnest(
    %(user_id)s::integer[], %(old_digest)s::bytea[], %(access_token)s::bytea[],
    %(refresh_token)s::bytea[]
  ) n (user_id, old_digest, access_token, refresh_token)
  JOIN songswap.erasures e ON e.user_id = n.user_id AND e.keeps_account AND e.renewed_at IS NULL
), kept AS (
  UPDATE "SpotifyTokens" t SET
    access_token = CASE WHEN e.access_token <> '' THEN convert_from(e.access_token, 'UTF8')
      ELSE t.access_token END,
    refresh_token = convert_from(e.refresh_token, 'UTF8')
  FROM erased e
  WHERE t.id = e.user_id AND sha256(convert_to(t.refresh_token, 'UTF8')) = e.old_digest
    AND sha256(e.refresh_token) <> e.old_digest
  RETURNING e.erasure_id, e.old_digest, sha256(e.refresh_token) AS digest
)
UPDATE songswap.erasures e SET refresh_digest = k.digest
FROM kept k WHERE k.erasure_id = e.erasure_id AND e.refresh_digest = k.old_digest

-- name: unlisted
-- By digests alone: tokens leave the server only where they are sent to Spotify.
WITH latest AS (
  SELECT * FROM unnest(%(user_id)s::integer[], %(digest)s::bytea[]) l (user_id, digest)
)
SELECT c.user_id, sha256(c.refresh_token)
FROM songswap.current_tokens() c
WHERE c.user_id IN (SELECT user_id FROM latest)
  AND (c.user_id, sha256(c.refresh_token)) NOT IN (SELECT user_id, digest FROM latest)

-- name: end_exchanged
-- Claims on tokens that were exchanged, whoever stored them.
WITH exchanged AS (
  SELECT * FROM unnest(%(user_id)s::integer[], %(old_digest)s::bytea[]) n (user_id, digest)
), cut_off AS (
  DELETE FROM songswap.cut_off_exchanges e USING exchanged n
  WHERE e.user_id = n.user_id AND e.refresh_digest = n.digest
)
DELETE FROM songswap.token_exchanges e USING exchanged n
WHERE e.user_id = n.user_id AND e.refresh_digest = n.digest

-- name: record_refreshed
-- A token without a row here is an authorization of this very hour.
INSERT INTO songswap.grants
  (user_id, state, refresh_digest, refreshed_at, authorized_at, warned_days)
SELECT k.user_id, 'active', k.platform_digest, %(now)s,
  CASE WHEN g.user_id IS NULL THEN %(now)s ELSE g.authorized_at END, g.warned_days
FROM songswap.tokens k
LEFT JOIN songswap.grants g ON g.user_id = k.user_id AND g.refresh_digest = k.platform_digest
WHERE k.user_id = ANY (%(users)s)
ORDER BY k.user_id
ON CONFLICT (user_id) DO UPDATE SET
  state = 'active', refresh_digest = EXCLUDED.refresh_digest,
  refreshed_at = EXCLUDED.refreshed_at, authorized_at = EXCLUDED.authorized_at,
  warned_days = EXCLUDED.warned_days, ask_again_at = NULL, refused_in = NULL, problem = NULL,
  refusals = 0, unanswered_at = NULL, refused_at = NULL

-- name: mirror
-- Locked rows wait for the next refresh.
WITH free AS (
  SELECT id FROM "SpotifyTokens" WHERE id = ANY (%(users)s) ORDER BY id FOR UPDATE SKIP LOCKED
)
UPDATE "SpotifyTokens" t SET
  access_token = CASE WHEN %(access)s AND k.access_token <> ''
    THEN convert_from(k.access_token, 'UTF8') ELSE t.access_token END,
  refresh_token = CASE WHEN %(refresh)s
    THEN convert_from(k.refresh_token, 'UTF8') ELSE t.refresh_token END
FROM songswap.tokens k, free
WHERE t.id = free.id AND k.user_id = t.id
  AND k.platform_digest = sha256(convert_to(t.refresh_token, 'UTF8'))
RETURNING t.id

-- name: record_mirrored
-- With the digests of the tokens that the platform has then. An erasure that was requested meanwhile does
-- not take them for a new authorization.
WITH erased AS (
  UPDATE songswap.erasures e SET refresh_digest = sha256(convert_to(t.refresh_token, 'UTF8'))
  FROM "SpotifyTokens" t JOIN songswap.tokens k ON k.user_id = t.id
  WHERE e.user_id = t.id AND t.id = ANY (%(users)s) AND e.renewed_at IS NULL
    AND e.refresh_digest = k.platform_digest
), mirrored AS (
  UPDATE songswap.tokens k SET
    platform_digest = sha256(convert_to(t.refresh_token, 'UTF8')), problem = %(problem)s
  FROM "SpotifyTokens" t
  WHERE k.user_id = t.id AND t.id = ANY (%(users)s)
  RETURNING k.user_id, k.platform_digest
)
UPDATE songswap.grants g SET refresh_digest = m.platform_digest
FROM mirrored m WHERE g.user_id = m.user_id

-- name: record_not_mirrored
-- Why the platform has an old token.
UPDATE songswap.tokens SET problem = %(problem)s WHERE user_id = ANY (%(users)s)

-- name: narrow_columns
-- The columns that are too short for a token in use, the longest such token, and how many there are.
SELECT a.attname, a.atttypmod - 4, max(length(n.token)) AS longest, count(*)
FROM pg_attribute a
CROSS JOIN LATERAL (
  SELECT CASE a.attname WHEN 'access_token' THEN k.access_token ELSE k.refresh_token END AS token
  FROM songswap.tokens k JOIN songswap.current_tokens() c
    ON c.user_id = k.user_id AND c.platform_digest = k.platform_digest
  WHERE k.problem IS NOT NULL
) n
WHERE a.attrelid = '"SpotifyTokens"'::regclass AND a.attname IN ('access_token', 'refresh_token')
  AND a.atttypmod > 4 AND length(n.token) > a.atttypmod - 4
GROUP BY a.attname, a.atttypmod
ORDER BY a.attname
