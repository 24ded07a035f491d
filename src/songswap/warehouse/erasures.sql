-- Erasures of users, and their places.

-- name: not_loadable
-- Of these users: those whose erasure is in force (NULL), and since when the data of others is theirs again.
SELECT user_id, CASE WHEN bool_and(renewed_at IS NOT NULL) THEN max(renewed_at) END
FROM songswap.erasures WHERE user_id = ANY (%(users)s)
GROUP BY user_id

-- name: record_renewed
-- Other tokens than at the request are a new authorization.
UPDATE songswap.erasures e SET renewed_at = greatest(%(now)s, e.ended_at)
FROM "SpotifyTokens" t
WHERE t.id = e.user_id AND e.renewed_at IS NULL AND e.ended_at IS NOT NULL
  AND t.refresh_token IS NOT NULL
  AND e.refresh_digest IS DISTINCT FROM sha256(convert_to(t.refresh_token, 'UTF8'))

-- name: in_force
-- When the erasure of a user that is in force was requested.
SELECT requested_at FROM songswap.erasures WHERE user_id = %(user_id)s AND renewed_at IS NULL
