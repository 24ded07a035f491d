-- Loading answers of recently played, with the rows of tracks and artists in catalogue.sql.

-- name: lock_users
-- A user who is deleted while the load runs would break its foreign keys: hold those who are there.
SELECT id FROM "Users" WHERE id = ANY (%(users)s) ORDER BY id FOR KEY SHARE

-- name: known_plays
SELECT h.user_id, h.played_at AT TIME ZONE 'UTC', coalesce(h.track_id, '')
FROM unnest(%(users)s::integer[], %(oldest)s::timestamptz[], %(newest)s::timestamptz[])
  a (user_id, oldest, newest)
JOIN "History" h ON h.user_id = a.user_id
  AND h.played_at BETWEEN (a.oldest AT TIME ZONE 'UTC') AND (a.newest AT TIME ZONE 'UTC')

-- name: insert_gaps
-- A full answer of which nothing is known says that there was more than it could hold. What the user
-- had before it bounds the gap: the last known play, or the first time that Spotify told of none. Later
-- times count no more: the feed may have stood still, and the archive keeps only the first. Of what
-- was played before the bound with which it was asked (the system before did so), it says nothing.
INSERT INTO songswap.gaps (user_id, after, before, found_at, run_id)
SELECT a.user_id, greatest(known.until, a.since), a.oldest, a.polled_at, %(run_id)s
FROM unnest(%(users)s::integer[], %(oldest)s::timestamptz[], %(polled_at)s::timestamptz[],
  %(since)s::timestamptz[]) a (user_id, oldest, polled_at, since)
CROSS JOIN LATERAL (
  SELECT coalesce(
    (SELECT max(h.played_at) AT TIME ZONE 'UTC' FROM "History" h
     WHERE h.user_id = a.user_id AND h.played_at < a.oldest AT TIME ZONE 'UTC'),
    (SELECT p.first_answered_at FROM songswap.polls p
     WHERE p.user_id = a.user_id AND p.newest_played_at IS NULL)
  ) AS until
) known
WHERE known.until < a.oldest
  AND (a.since IS NULL OR a.since < a.oldest)
  AND NOT EXISTS (
    SELECT FROM unnest(%(aside_users)s::integer[], %(fingerprints)s::bytea[])
      s (user_id, fingerprint)
    JOIN songswap.rejected_items k USING (user_id, fingerprint)
    WHERE s.user_id = a.user_id
  )
ORDER BY a.user_id
ON CONFLICT DO NOTHING

-- name: close_gaps
-- An answer lists a user's plays without a hole: one that reaches over a gap holds all that it had.
UPDATE songswap.gaps g SET closed_at = a.polled_at
FROM unnest(%(users)s::integer[], %(oldest)s::timestamptz[], %(newest)s::timestamptz[],
  %(polled_at)s::timestamptz[]) a (user_id, oldest, newest, polled_at)
WHERE g.user_id = a.user_id AND g.closed_at IS NULL
  AND a.oldest <= g.after AND a.newest >= g.before

-- name: reject_earlier
-- The earliest answer that held an item stands for it, whichever was loaded first.
UPDATE songswap.rejected_items k SET
  raw_key = s.raw_key, found_at = s.polled_at, run_id = %(run_id)s
FROM unnest(%(users)s::integer[], %(fingerprints)s::bytea[], %(reasons)s::text[],
  %(played_at)s::text[], %(raw_keys)s::text[], %(polled_at)s::timestamptz[])
  s (user_id, fingerprint, reason, played_at, raw_key, polled_at)
WHERE k.user_id = s.user_id AND k.fingerprint = s.fingerprint AND s.polled_at < k.found_at

-- name: insert_rejected_items
INSERT INTO songswap.rejected_items
  (user_id, fingerprint, reason, played_at, raw_key, found_at, run_id)
SELECT user_id, fingerprint, reason, played_at, raw_key, polled_at, %(run_id)s
FROM unnest(%(users)s::integer[], %(fingerprints)s::bytea[], %(reasons)s::text[],
  %(played_at)s::text[], %(raw_keys)s::text[], %(polled_at)s::timestamptz[])
  s (user_id, fingerprint, reason, played_at, raw_key, polled_at)
ORDER BY user_id, fingerprint
ON CONFLICT DO NOTHING

-- name: untimely
SELECT user_id, fingerprint, played_at FROM songswap.rejected_items
WHERE user_id = ANY (%(users)s) AND reason = %(reason)s

-- name: forget_untimely
DELETE FROM songswap.rejected_items k
USING unnest(%(users)s::integer[], %(fingerprints)s::bytea[], %(moments)s::timestamptz[])
  u (user_id, fingerprint, moment)
JOIN "History" h ON h.user_id = u.user_id AND h.played_at = u.moment AT TIME ZONE 'UTC'
WHERE k.user_id = u.user_id AND k.fingerprint = u.fingerprint

-- name: move_raw
UPDATE songswap.rejected_items SET raw_key = %(key)s
WHERE user_id = %(user_id)s AND found_at = %(observed_at)s

-- name: insert_data_fixes
INSERT INTO songswap.data_fixes (kind, id, field, problem, found_at)
SELECT kind, id, field, problem, %(now)s
FROM unnest(%(kinds)s::text[], %(ids)s::text[], %(fields)s::text[], %(problems)s::text[])
  s (kind, id, field, problem)
ORDER BY kind, id, field, problem
ON CONFLICT DO NOTHING

-- name: enqueue_features
INSERT INTO songswap.enrichment_queue (kind, id, queued_at)
SELECT 'features', n.track_id, %(now)s FROM unnest(%(heard)s::text[]) n (track_id)
WHERE NOT EXISTS (SELECT FROM "TrackFeatures" f WHERE f.id = n.track_id)
ORDER BY n.track_id
ON CONFLICT (kind, id) DO UPDATE SET queued_at = EXCLUDED.queued_at
WHERE enrichment_queue.queued_at IS NULL AND enrichment_queue.answered_at IS NULL

-- name: enqueue_tracks
INSERT INTO songswap.enrichment_queue (kind, id, queued_at)
SELECT 'track', n.track_id, %(now)s FROM unnest(%(heard)s::text[]) n (track_id)
WHERE n.track_id = ANY (%(incomplete)s)
   OR NOT EXISTS (
     SELECT FROM "TrackPopularity" p WHERE p.id = n.track_id AND p.date > %(stale)s
   )
ORDER BY n.track_id
ON CONFLICT (kind, id) DO UPDATE SET queued_at = EXCLUDED.queued_at
WHERE enrichment_queue.queued_at IS NULL
  AND (enrichment_queue.answered_at IS NULL OR enrichment_queue.known AND enrichment_queue.answered_at < %(stale)s)

-- name: enqueue_artists
INSERT INTO songswap.enrichment_queue (kind, id, queued_at)
SELECT 'artist', a.artist_id, %(now)s
FROM (
  SELECT artist_id FROM "ArtistTracks" WHERE track_id = ANY (%(heard)s)
  UNION SELECT unnest(%(new_artists)s::text[])
) a
WHERE NOT EXISTS (
  SELECT FROM "ArtistPopularity" p WHERE p.id = a.artist_id AND p.date > %(stale)s
)
ORDER BY a.artist_id
ON CONFLICT (kind, id) DO UPDATE SET queued_at = EXCLUDED.queued_at
WHERE enrichment_queue.queued_at IS NULL
  AND (enrichment_queue.answered_at IS NULL OR enrichment_queue.known AND enrichment_queue.answered_at < %(stale)s)

-- name: upsert_polls
INSERT INTO songswap.polls AS p
  (user_id, polled_at, first_answered_at, answered_at, fingerprint, newest_played_at, problem, plays_per_hour)
SELECT user_id, polled_at, polled_at, polled_at, fingerprint, newest, NULL, plays_per_hour
FROM unnest(%(users)s::integer[], %(polled_at)s::timestamptz[], %(fingerprints)s::bytea[],
  %(newest)s::timestamptz[], %(plays_per_hour)s::integer[]) s (user_id, polled_at, fingerprint, newest, plays_per_hour)
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
