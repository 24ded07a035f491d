-- Erasures of users, and their places. A clock of ours that is ahead counts as the server's: else what a user
-- hears after coming back would count as from before.

-- name: not_loadable
-- Of these users: those whose erasure is in force (NULL), and since when the data of others is theirs again.
SELECT user_id, CASE WHEN bool_and(renewed_at IS NOT NULL) THEN max(renewed_at) END
FROM songswap.erasures WHERE user_id = ANY (%(users)s)
GROUP BY user_id

-- name: record_renewed
-- Other tokens than at the request are a new authorization, where the account was kept. Who has none signs up
-- with a new id: rows with the old one come from a backup, and their tokens may be older ones. While the last
-- sweep is made, also again after a host that came back late, there is no ended_at: it would delete what is
-- new.
UPDATE songswap.erasures e SET
  renewed_at = greatest(least(%(now)s::timestamptz, clock_timestamp()), e.ended_at)
FROM "SpotifyTokens" t
WHERE t.id = e.user_id AND e.renewed_at IS NULL AND e.ended_at IS NOT NULL AND e.keeps_account
  AND t.refresh_token IS NOT NULL
  AND e.refresh_digest IS DISTINCT FROM sha256(convert_to(t.refresh_token, 'UTF8'))

-- name: in_force
-- When the erasure of a user that is in force was requested.
SELECT requested_at FROM songswap.erasures WHERE user_id = %(user_id)s AND renewed_at IS NULL

-- name: authorized_since
-- Whether a user has authorized the app again since a time, as far as that is known. Other tokens than at
-- the request of an erasure that is in force, and was requested later, came after it.
SELECT EXISTS (
    SELECT FROM songswap.erasures e LEFT JOIN "SpotifyTokens" t ON t.id = e.user_id
    WHERE e.user_id = %(user_id)s AND (e.renewed_at > %(since)s
      OR e.renewed_at IS NULL AND e.ended_at IS NOT NULL AND e.requested_at >= %(since)s
        AND t.refresh_token IS NOT NULL
        AND e.refresh_digest IS DISTINCT FROM sha256(convert_to(t.refresh_token, 'UTF8')))
  ) OR EXISTS (
    SELECT FROM songswap.grants WHERE user_id = %(user_id)s AND authorized_at > %(since)s
  )

-- name: request
-- The row of tokens is locked: what the pipeline is about to store there is the same authorization.
-- The one that is in force goes on. One that has ended begins again where the account is to go after all,
-- the user has authorized again since, or rows have come back, as from a backup. Before its end the account
-- may be kept after all, while it is there.
INSERT INTO songswap.erasures AS e (user_id, requested_at, reason, keeps_account, refresh_digest)
VALUES (%(user_id)s, least(%(now)s::timestamptz, clock_timestamp()), %(reason)s, %(keeps_account)s, (
  SELECT sha256(convert_to(refresh_token, 'UTF8')) FROM "SpotifyTokens" WHERE id = %(user_id)s FOR UPDATE
))
ON CONFLICT (user_id) WHERE renewed_at IS NULL DO UPDATE SET
  keeps_account = EXCLUDED.keeps_account AND (e.keeps_account OR e.ended_at IS NULL
    AND EXISTS (SELECT FROM "Users" u WHERE u.id = EXCLUDED.user_id)),
  ended_at = CASE
    WHEN %(has_rows)s OR e.keeps_account AND NOT EXCLUDED.keeps_account
      OR EXCLUDED.refresh_digest <> e.refresh_digest
    THEN NULL ELSE e.ended_at
  END,
  refresh_digest = CASE
    WHEN e.ended_at IS NULL THEN e.refresh_digest
    ELSE coalesce(EXCLUDED.refresh_digest, e.refresh_digest)
  END
RETURNING erasure_id, ended_at IS NULL

-- name: add_places
-- The spools that are known by now; another one adds itself. What has ended here begins again.
INSERT INTO songswap.erasure_places AS p (erasure_id, place, host)
SELECT %(erasure_id)s, place, host FROM (
  VALUES ('warehouse', NULL), ('s3', NULL)
  UNION ALL SELECT spool_id::text, host FROM songswap.spools
) places (place, host)
ON CONFLICT (erasure_id, place) DO UPDATE SET confirmed_at = NULL
WHERE p.place IN ('warehouse', 's3')

-- name: erasures
-- By their numbers.
SELECT erasure_id, user_id, requested_at, reason, keeps_account, ended_at, renewed_at
FROM songswap.erasures WHERE erasure_id = ANY (%(ids)s) ORDER BY erasure_id

-- name: of_user
-- The oldest first.
SELECT erasure_id, user_id, requested_at, reason, keeps_account, ended_at, renewed_at
FROM songswap.erasures WHERE user_id = %(user_id)s ORDER BY erasure_id

-- name: open
-- Those that have not ended, and those for which a host that came back late has not confirmed, or has
-- confirmed after the last sweep, see `reopen`.
SELECT erasure_id, user_id, requested_at, reason, keeps_account, ended_at, renewed_at
FROM songswap.erasures e
WHERE ended_at IS NULL OR EXISTS (
  SELECT FROM songswap.erasure_places p
  WHERE p.erasure_id = e.erasure_id AND (p.confirmed_at IS NULL
    OR e.renewed_at IS NULL AND p.place NOT IN ('warehouse', 's3')
      AND p.confirmed_at <> coalesce(p.swept, '-infinity'))
)
ORDER BY erasure_id

-- name: places
-- The warehouse, S3, then the hosts.
SELECT p.place, p.host, p.at_work, p.removed, p.confirmed_at, p.problem, s.seen_at,
  p.place IN ('warehouse', 's3') OR p.confirmed_at IS NOT DISTINCT FROM p.swept
FROM songswap.erasure_places p
LEFT JOIN songswap.spools s ON s.spool_id::text = p.place
WHERE p.erasure_id = %(erasure_id)s
ORDER BY p.place <> 'warehouse', p.place <> 's3', p.host, p.place

-- name: add_removed
-- Numbers by kind are added up. What was done there has no problem any more.
UPDATE songswap.erasure_places p SET problem = NULL, removed = p.removed || (
  SELECT coalesce(jsonb_object_agg(key, coalesce((p.removed ->> key)::bigint, 0) + value::bigint), '{}')
  FROM jsonb_each_text(%(removed)s)
)
WHERE p.erasure_id = %(erasure_id)s AND p.place = %(place)s

-- name: note_found
-- What a removal that begins now has found, or NULL at its end.
UPDATE songswap.erasure_places SET found = %(found)s
WHERE erasure_id = %(erasure_id)s AND place = %(place)s

-- name: found
-- Of a removal that was cut off.
SELECT found FROM songswap.erasure_places WHERE erasure_id = %(erasure_id)s AND place = %(place)s

-- name: fail
-- It stays until the place is done.
UPDATE songswap.erasure_places SET problem = %(problem)s
WHERE erasure_id = %(erasure_id)s AND place = %(place)s

-- name: lock
-- Who begins a last sweep again, and who ends the erasure.
SELECT FROM songswap.erasures WHERE erasure_id = %(erasure_id)s FOR UPDATE

-- name: reopen
-- A host confirmed after the last sweep: it was not known before, or was forgotten and is back. A process
-- that was at work there may have archived something since. Once the user is one again, no sweep is made:
-- it would remove what is new.
WITH reopened AS (
  UPDATE songswap.erasures e SET ended_at = NULL
  WHERE erasure_id = %(erasure_id)s AND ended_at IS NOT NULL AND renewed_at IS NULL AND EXISTS (
    SELECT FROM songswap.erasure_places p
    WHERE p.erasure_id = e.erasure_id AND p.place NOT IN ('warehouse', 's3')
      AND p.confirmed_at <> coalesce(p.swept, '-infinity')
  )
  RETURNING erasure_id
)
UPDATE songswap.erasure_places p SET confirmed_at = NULL
FROM reopened r WHERE p.erasure_id = r.erasure_id AND p.place IN ('warehouse', 's3')

-- name: ended_since
-- Those that are in force still, the oldest first.
SELECT erasure_id, user_id, requested_at, reason, keeps_account, ended_at, renewed_at
FROM songswap.erasures WHERE ended_at >= %(since)s AND renewed_at IS NULL ORDER BY erasure_id

-- name: back
-- Erased users without an account who are in "Users" again.
SELECT user_id FROM songswap.erasures e JOIN "Users" u ON u.id = e.user_id
WHERE e.ended_at IS NOT NULL AND e.renewed_at IS NULL AND NOT e.keeps_account
ORDER BY user_id

-- name: begin_again
-- The last sweep, as something has come back. Without ended_at the user does not become one again meanwhile.
WITH begun AS (
  UPDATE songswap.erasures SET ended_at = NULL
  WHERE erasure_id = %(erasure_id)s AND ended_at IS NOT NULL AND renewed_at IS NULL
  RETURNING erasure_id
)
UPDATE songswap.erasure_places p SET confirmed_at = NULL
FROM begun b WHERE p.erasure_id = b.erasure_id AND p.place IN ('warehouse', 's3')
RETURNING p.place

-- name: end
-- After a sweep that began after these confirmations of hosts, which are all that there are.
WITH confirmations AS (
  SELECT * FROM unnest(%(places)s::text[], %(confirmed_at)s::timestamptz[]) c (place, confirmed_at)
), ended AS (
  UPDATE songswap.erasures e SET
    ended_at = greatest(least(%(now)s::timestamptz, clock_timestamp()), requested_at)
  WHERE erasure_id = %(erasure_id)s AND ended_at IS NULL AND NOT EXISTS (
    SELECT FROM songswap.erasure_places p LEFT JOIN confirmations c USING (place, confirmed_at)
    WHERE p.erasure_id = e.erasure_id AND p.place NOT IN ('warehouse', 's3') AND c.place IS NULL
  )
  RETURNING erasure_id, ended_at
)
UPDATE songswap.erasure_places p SET
  confirmed_at = CASE WHEN p.place IN ('warehouse', 's3') THEN ended.ended_at ELSE p.confirmed_at END,
  problem = CASE WHEN p.place IN ('warehouse', 's3') THEN NULL ELSE p.problem END,
  swept = p.confirmed_at
FROM ended WHERE p.erasure_id = ended.erasure_id

-- name: keep_digest
-- A token that the pipeline had sent before the request, and stored after it, is no new authorization.
UPDATE songswap.erasures e SET refresh_digest = g.refresh_digest
FROM songswap.grants g JOIN "SpotifyTokens" t ON t.id = g.user_id
WHERE e.erasure_id = %(erasure_id)s AND g.user_id = e.user_id
  AND g.refresh_digest = sha256(convert_to(t.refresh_token, 'UTF8'))

-- name: take_turn
-- Alone, or beside other imports, until the end of the transaction. It waits for nothing and holds nothing
-- else: its process may be busy elsewhere for long.
SELECT CASE
    WHEN %(is_import)s THEN pg_try_advisory_xact_lock_shared(hashtextextended(name, 0))
    ELSE pg_try_advisory_xact_lock(hashtextextended(name, 0))
  END,
  set_config('idle_in_transaction_session_timeout', '0', true)
FROM concat('songswap.erasures ', %(user_id)s::integer) name

-- name: keep_turn
-- Whether the session is there.
SELECT
