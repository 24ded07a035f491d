-- Users who have to be erased.

-- name: record_revoked
-- Grants that Spotify refused for good while the token is the user's last one. One that was refused once and
-- is not tried again is over by its age (docs/adr/0008): no disconnect, nor is a token that we lost.
INSERT INTO songswap.disconnects (user_id, reason, since, due_at)
SELECT user_id, 'revoked', since, since + %(days)s
FROM (
  SELECT r.user_id, coalesce(r.refused_at, d.since, %(now)s) AS since
  FROM songswap.grants r LEFT JOIN songswap.disconnects d ON d.user_id = r.user_id
  WHERE (%(only)s::integer IS NULL OR r.user_id = %(only)s)
    AND r.state = 'revoked' AND r.ask_again_at IS NULL AND r.refusals > 1
    AND r.unanswered_at IS NULL
    AND NOT EXISTS (
      SELECT FROM "SpotifyTokens" t WHERE t.id = r.user_id
        AND r.refresh_digest IS DISTINCT FROM sha256(convert_to(t.refresh_token, 'UTF8'))
    )
    AND NOT EXISTS (
      SELECT FROM songswap.erasures e WHERE e.user_id = r.user_id AND e.renewed_at IS NULL
    )
  ORDER BY r.user_id
) revoked
ON CONFLICT (user_id) DO UPDATE SET
  reason = EXCLUDED.reason, since = EXCLUDED.since, due_at = EXCLUDED.due_at
RETURNING user_id

-- name: record_gone
-- A user whose grant was revoked before keeps the time of that.
INSERT INTO songswap.disconnects (user_id, reason, since, due_at)
SELECT user_id, 'gone', since, since + %(days)s
FROM (
  SELECT a.user_id, coalesce(d.since, %(now)s) AS since
  FROM unnest(%(archived)s::integer[]) a (user_id)
  LEFT JOIN songswap.disconnects d ON d.user_id = a.user_id
  WHERE NOT EXISTS (SELECT FROM "Users" u WHERE u.id = a.user_id)
    AND NOT EXISTS (
      SELECT FROM songswap.erasures e WHERE e.user_id = a.user_id AND e.renewed_at IS NULL
    )
  ORDER BY a.user_id
) gone
ON CONFLICT (user_id) DO UPDATE SET
  reason = EXCLUDED.reason, since = EXCLUDED.since, due_at = EXCLUDED.due_at
RETURNING user_id

-- name: forget
-- Those who are not to be erased any more: erased, authorized again, signed up again, or without anything in
-- the archive. Where that was not listed, those who are gone stay.
DELETE FROM songswap.disconnects d
WHERE NOT d.user_id = ANY (%(found)s) AND (
  %(is_listed)s OR EXISTS (SELECT FROM "Users" u WHERE u.id = d.user_id) OR EXISTS (
    SELECT FROM songswap.erasures e WHERE e.user_id = d.user_id AND e.renewed_at IS NULL
  )
)

-- name: not_ahead
-- A clock of ours that is ahead counts as the server's.
SELECT least(%(now)s::timestamptz, clock_timestamp())

-- name: is_due
-- Whether the day (UTC) by which a user has to be erased has come, by the same clock.
SELECT coalesce(bool_or((due_at AT TIME ZONE 'UTC')::date
  <= (least(%(now)s::timestamptz, clock_timestamp()) AT TIME ZONE 'UTC')::date), false)
FROM songswap.disconnects WHERE user_id = %(only)s

-- name: find
-- The first to be erased first.
SELECT user_id, reason, since, due_at FROM songswap.disconnects ORDER BY due_at, user_id

-- name: count
-- All of them.
SELECT count(*) FROM songswap.disconnects
