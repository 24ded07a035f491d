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
SELECT a.user_id, greatest(known.until, a.since), a.oldest, a.asked_at, %(run_id)s
FROM unnest(%(users)s::integer[], %(oldest)s::timestamptz[], %(asked_at)s::timestamptz[],
  %(since)s::timestamptz[]) a (user_id, oldest, asked_at, since)
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
    JOIN songswap.set_aside k USING (user_id, fingerprint)
    WHERE s.user_id = a.user_id
  )
ORDER BY a.user_id
ON CONFLICT DO NOTHING

-- name: close_gaps
-- An answer lists a user's plays without a hole: one that reaches over a gap holds all that it had.
UPDATE songswap.gaps g SET closed_at = a.asked_at
FROM unnest(%(users)s::integer[], %(oldest)s::timestamptz[], %(newest)s::timestamptz[],
  %(asked_at)s::timestamptz[]) a (user_id, oldest, newest, asked_at)
WHERE g.user_id = a.user_id AND g.closed_at IS NULL
  AND a.oldest <= g.after AND a.newest >= g.before

-- name: set_aside_earlier
-- The earliest answer that held an item stands for it, whichever was loaded first.
UPDATE songswap.set_aside k SET
  raw_key = s.raw_key, found_at = s.asked_at, run_id = %(run_id)s
FROM unnest(%(users)s::integer[], %(fingerprints)s::bytea[], %(reasons)s::text[],
  %(played_at)s::text[], %(raw_keys)s::text[], %(asked_at)s::timestamptz[])
  s (user_id, fingerprint, reason, played_at, raw_key, asked_at)
WHERE k.user_id = s.user_id AND k.fingerprint = s.fingerprint AND s.asked_at < k.found_at

-- name: insert_set_aside
INSERT INTO songswap.set_aside
  (user_id, fingerprint, reason, played_at, raw_key, found_at, run_id)
SELECT user_id, fingerprint, reason, played_at, raw_key, asked_at, %(run_id)s
FROM unnest(%(users)s::integer[], %(fingerprints)s::bytea[], %(reasons)s::text[],
  %(played_at)s::text[], %(raw_keys)s::text[], %(asked_at)s::timestamptz[])
  s (user_id, fingerprint, reason, played_at, raw_key, asked_at)
ORDER BY user_id, fingerprint
ON CONFLICT DO NOTHING

-- name: untimely
SELECT user_id, fingerprint, played_at FROM songswap.set_aside
WHERE user_id = ANY (%(users)s) AND reason = %(reason)s

-- name: forget_untimely
DELETE FROM songswap.set_aside k
USING unnest(%(users)s::integer[], %(fingerprints)s::bytea[], %(moments)s::timestamptz[])
  u (user_id, fingerprint, moment)
JOIN "History" h ON h.user_id = u.user_id AND h.played_at = u.moment AT TIME ZONE 'UTC'
WHERE k.user_id = u.user_id AND k.fingerprint = u.fingerprint

-- name: move_raw
UPDATE songswap.set_aside SET raw_key = %(key)s
WHERE user_id = %(user_id)s AND found_at = %(observed_at)s

-- name: insert_notes
INSERT INTO songswap.notes (kind, id, field, problem, found_at)
SELECT kind, id, field, problem, %(now)s
FROM unnest(%(kinds)s::text[], %(ids)s::text[], %(fields)s::text[], %(problems)s::text[])
  s (kind, id, field, problem)
ORDER BY kind, id, field, problem
ON CONFLICT DO NOTHING

-- name: want_features
INSERT INTO songswap.metadata (kind, id, wanted_since)
SELECT 'features', n.track_id, %(now)s FROM unnest(%(heard)s::text[]) n (track_id)
WHERE NOT EXISTS (SELECT FROM "TrackFeatures" f WHERE f.id = n.track_id)
ORDER BY n.track_id
ON CONFLICT (kind, id) DO UPDATE SET wanted_since = EXCLUDED.wanted_since
WHERE metadata.wanted_since IS NULL AND metadata.answered_at IS NULL

-- name: want_tracks
INSERT INTO songswap.metadata (kind, id, wanted_since)
SELECT 'track', n.track_id, %(now)s FROM unnest(%(heard)s::text[]) n (track_id)
WHERE n.track_id = ANY (%(incomplete)s)
   OR NOT EXISTS (
     SELECT FROM "TrackPopularity" p WHERE p.id = n.track_id AND p.date > %(stale)s
   )
ORDER BY n.track_id
ON CONFLICT (kind, id) DO UPDATE SET wanted_since = EXCLUDED.wanted_since
WHERE metadata.wanted_since IS NULL
  AND (metadata.answered_at IS NULL OR metadata.known AND metadata.answered_at < %(stale)s)

-- name: want_artists
INSERT INTO songswap.metadata (kind, id, wanted_since)
SELECT 'artist', a.artist_id, %(now)s
FROM (
  SELECT artist_id FROM "ArtistTracks" WHERE track_id = ANY (%(heard)s)
  UNION SELECT unnest(%(new_artists)s::text[])
) a
WHERE NOT EXISTS (
  SELECT FROM "ArtistPopularity" p WHERE p.id = a.artist_id AND p.date > %(stale)s
)
ORDER BY a.artist_id
ON CONFLICT (kind, id) DO UPDATE SET wanted_since = EXCLUDED.wanted_since
WHERE metadata.wanted_since IS NULL
  AND (metadata.answered_at IS NULL OR metadata.known AND metadata.answered_at < %(stale)s)

-- name: upsert_polls
INSERT INTO songswap.polls AS p
  (user_id, asked_at, first_answered_at, answered_at, fingerprint, newest_played_at, problem, pace)
SELECT user_id, asked_at, asked_at, asked_at, fingerprint, newest, NULL, pace
FROM unnest(%(users)s::integer[], %(asked_at)s::timestamptz[], %(fingerprints)s::bytea[],
  %(newest)s::timestamptz[], %(paces)s::integer[]) s (user_id, asked_at, fingerprint, newest, pace)
ORDER BY user_id
ON CONFLICT (user_id) DO UPDATE SET
  asked_at = greatest(p.asked_at, EXCLUDED.asked_at),
  first_answered_at = coalesce(p.first_answered_at, EXCLUDED.first_answered_at),
  answered_at = EXCLUDED.answered_at,
  fingerprint = EXCLUDED.fingerprint,
  newest_played_at = greatest(p.newest_played_at, EXCLUDED.newest_played_at),
  problem = NULL,
  pace = greatest(%(calmer)s * p.pace, EXCLUDED.pace)
WHERE p.answered_at IS NULL OR p.answered_at < EXCLUDED.answered_at
