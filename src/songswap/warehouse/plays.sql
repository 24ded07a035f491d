-- Loading plays of responses of recently played; catalogue.sql has their tracks.

-- name: known_plays
-- The stored plays in the time that each user's responses cover.
SELECT h.user_id, h.played_at AT TIME ZONE 'UTC', coalesce(h.track_id, '')
FROM unnest(%(users)s::integer[], %(oldest)s::timestamptz[], %(newest)s::timestamptz[])
  r (user_id, oldest, newest)
JOIN "History" h ON h.user_id = r.user_id
  AND h.played_at BETWEEN (r.oldest AT TIME ZONE 'UTC') AND (r.newest AT TIME ZONE 'UTC')

-- name: insert_gaps
-- A full response without a known play says that there were more plays than it could hold. The gap
-- begins with the user's last known play, or with the first response, if that had no plays. Later empty
-- responses do not count: the feed may have stood still, and the archive keeps only the first. A
-- response that was requested from a time on (`since`: the previous system did so) says nothing of
-- plays before it.
INSERT INTO songswap.gaps (user_id, after, before, found_at, run_id)
SELECT r.user_id, greatest(known.until, r.since), r.oldest, r.polled_at, %(run_id)s
FROM unnest(%(users)s::integer[], %(oldest)s::timestamptz[], %(polled_at)s::timestamptz[],
  %(since)s::timestamptz[]) r (user_id, oldest, polled_at, since)
CROSS JOIN LATERAL (
  SELECT coalesce(
    (SELECT max(h.played_at) AT TIME ZONE 'UTC' FROM "History" h
     WHERE h.user_id = r.user_id AND h.played_at < r.oldest AT TIME ZONE 'UTC'),
    (SELECT p.first_answered_at FROM songswap.polls p
     WHERE p.user_id = r.user_id AND p.newest_played_at IS NULL)
  ) AS until
) known
WHERE known.until < r.oldest
  AND (r.since IS NULL OR r.since < r.oldest)
  AND NOT EXISTS (
    SELECT FROM unnest(%(rejected_users)s::integer[], %(fingerprints)s::bytea[])
      i (user_id, fingerprint)
    JOIN songswap.rejected_items k USING (user_id, fingerprint)
    WHERE i.user_id = r.user_id
  )
ORDER BY r.user_id
ON CONFLICT DO NOTHING

-- name: close_gaps
-- A response has all plays of the time that it covers, so it closes each gap within that time.
UPDATE songswap.gaps g SET closed_at = r.polled_at
FROM unnest(%(users)s::integer[], %(oldest)s::timestamptz[], %(newest)s::timestamptz[],
  %(polled_at)s::timestamptz[]) r (user_id, oldest, newest, polled_at)
WHERE g.user_id = r.user_id AND g.closed_at IS NULL
  AND r.oldest <= g.after AND r.newest >= g.before

-- name: upsert_polls
-- What the newest response says of a user; an earlier one, loaded late, changes nothing.
INSERT INTO songswap.polls AS p (user_id, polled_at, first_answered_at, answered_at, fingerprint,
  newest_played_at, problem, plays_per_hour)
SELECT user_id, polled_at, polled_at, polled_at, fingerprint, newest, NULL, plays_per_hour
FROM unnest(%(users)s::integer[], %(polled_at)s::timestamptz[], %(fingerprints)s::bytea[],
  %(newest)s::timestamptz[], %(plays_per_hour)s::integer[])
  r (user_id, polled_at, fingerprint, newest, plays_per_hour)
ORDER BY user_id
ON CONFLICT (user_id) DO UPDATE SET
  polled_at = greatest(p.polled_at, EXCLUDED.polled_at),
  first_answered_at = coalesce(p.first_answered_at, EXCLUDED.first_answered_at),
  answered_at = EXCLUDED.answered_at,
  fingerprint = EXCLUDED.fingerprint,
  newest_played_at = greatest(p.newest_played_at, EXCLUDED.newest_played_at),
  problem = NULL,
  plays_per_hour = greatest(%(decay)s * p.plays_per_hour, EXCLUDED.plays_per_hour)
WHERE p.answered_at IS NULL OR p.answered_at < EXCLUDED.answered_at
