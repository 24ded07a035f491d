-- Loading answers of recently played: rows are copied into the staging tables and moved from there,
-- always in key order, so that loads that run at once wait for each other and never deadlock.

-- name: stage
CREATE TEMP TABLE IF NOT EXISTS staged_answers (
  user_id integer, asked_at timestamptz, fingerprint bytea, items integer,
  oldest timestamptz, newest timestamptz, pace integer
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_plays (
  user_id integer, played_at timestamp, track_id text
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_tracks (
  id text, name text, duration_ms integer, incomplete boolean
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_artists (id text, name text) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_artist_tracks (
  track_id text, artist_id text, is_primary boolean
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_track_popularity (
  id text, date timestamp, popularity integer
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_track_images (
  id text, height integer, width integer, url text
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_track_previews (id text, url text) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_set_aside (
  user_id integer, fingerprint bytea, reason text, played_at text, raw_key text,
  found_at timestamptz
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_notes (
  kind text, id text, field text, problem text
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS new_tracks (track_id text) ON COMMIT DELETE ROWS;

-- name: lock_users
-- A user who is deleted while the load runs would break its foreign keys: hold those who are there.
SELECT id FROM "Users"
WHERE id IN (SELECT user_id FROM staged_answers)
ORDER BY id FOR KEY SHARE

-- name: drop_gone_plays
DELETE FROM staged_plays WHERE user_id <> ALL (%(users)s)

-- name: drop_gone_answers
DELETE FROM staged_answers WHERE user_id <> ALL (%(users)s)

-- name: drop_gone_set_aside
DELETE FROM staged_set_aside WHERE user_id <> ALL (%(users)s)

-- name: insert_gaps
-- A full answer of which nothing is known says that there was more than it could hold. What the user
-- had before it bounds the gap: the last known play, or the last time that Spotify told of none. A feed
-- that told of none after the oldest play of the answer stood still: only its first answer is believed.
INSERT INTO songswap.gaps (user_id, after, before, found_at, run_id)
SELECT a.user_id, known.until, a.oldest, a.asked_at, %(run_id)s
FROM staged_answers a
CROSS JOIN LATERAL (
  SELECT coalesce(
    (SELECT max(h.played_at) AT TIME ZONE 'UTC' FROM "History" h
     WHERE h.user_id = a.user_id AND h.played_at < a.oldest AT TIME ZONE 'UTC'),
    (SELECT CASE WHEN p.answered_at < a.oldest THEN p.answered_at ELSE p.first_answered_at END
     FROM songswap.polls p WHERE p.user_id = a.user_id AND p.newest_played_at IS NULL)
  ) AS until
) known
WHERE a.items >= %(full)s AND known.until < a.oldest
  AND NOT EXISTS (
    SELECT FROM staged_plays s JOIN "History" h USING (user_id, played_at)
    WHERE s.user_id = a.user_id
  )
  AND NOT EXISTS (
    SELECT FROM staged_set_aside s JOIN songswap.set_aside k USING (user_id, fingerprint)
    WHERE s.user_id = a.user_id AND s.played_at IS NOT NULL
  )
ORDER BY a.user_id
ON CONFLICT DO NOTHING

-- name: close_gaps
-- An answer lists a user's plays without a hole: one that reaches over a gap holds all that it had.
UPDATE songswap.gaps g SET closed_at = a.asked_at
FROM staged_answers a
WHERE g.user_id = a.user_id AND g.closed_at IS NULL
  AND a.oldest <= g.after AND a.newest >= g.before

-- name: insert_artists
INSERT INTO "Artists" (id, name)
SELECT id, name FROM staged_artists ORDER BY id
ON CONFLICT DO NOTHING

-- name: insert_tracks
INSERT INTO "Tracks" (id, name, duration_ms)
SELECT id, name, duration_ms FROM staged_tracks ORDER BY id
ON CONFLICT DO NOTHING

-- name: insert_artist_tracks
INSERT INTO "ArtistTracks" (track_id, artist_id, is_primary)
SELECT track_id, artist_id, is_primary FROM staged_artist_tracks ORDER BY track_id, artist_id
ON CONFLICT DO NOTHING

-- name: insert_track_popularity
-- A value that has not changed within a day needs no new row.
INSERT INTO "TrackPopularity" (id, date, popularity)
SELECT s.id, s.date, s.popularity FROM staged_track_popularity s
WHERE s.popularity IS DISTINCT FROM (
  SELECT p.popularity FROM "TrackPopularity" p
  WHERE p.id = s.id AND p.date > s.date - interval '1 day' AND p.date <= s.date
  ORDER BY p.date DESC LIMIT 1
)
ORDER BY s.id, s.date
ON CONFLICT DO NOTHING

-- name: insert_track_images
INSERT INTO "TrackImages" (id, height, width, url)
SELECT id, height, width, url FROM staged_track_images ORDER BY id, height, width
ON CONFLICT DO NOTHING

-- name: insert_track_previews
INSERT INTO "TrackPreviews" (id, url)
SELECT id, url FROM staged_track_previews ORDER BY id
ON CONFLICT DO NOTHING

-- name: insert_history
WITH inserted AS (
  INSERT INTO "History" (user_id, played_at, track_id)
  SELECT user_id, played_at, track_id FROM staged_plays ORDER BY user_id, played_at, track_id
  ON CONFLICT DO NOTHING
  RETURNING track_id
), heard AS (
  INSERT INTO new_tracks SELECT DISTINCT track_id FROM inserted
)
SELECT count(*) FROM inserted

-- name: verify_history
-- Every play that was staged has to be there now; where another track holds its key, it is set aside.
SELECT s.user_id, s.played_at AT TIME ZONE 'UTC', s.track_id, h.track_id IS NULL
FROM staged_plays s LEFT JOIN "History" h USING (user_id, played_at)
WHERE h.track_id IS DISTINCT FROM s.track_id
ORDER BY s.user_id, s.played_at, s.track_id

-- name: insert_set_aside
INSERT INTO songswap.set_aside
  (user_id, fingerprint, reason, played_at, raw_key, run_id, found_at)
SELECT user_id, fingerprint, reason, played_at, raw_key, %(run_id)s, found_at
FROM staged_set_aside ORDER BY user_id, fingerprint
ON CONFLICT DO NOTHING

-- name: move_raw
UPDATE songswap.set_aside SET raw_key = %(key)s
WHERE user_id = %(user_id)s AND found_at = %(observed_at)s

-- name: insert_notes
INSERT INTO songswap.notes (kind, id, field, problem, found_at)
SELECT kind, id, field, problem, %(now)s FROM staged_notes ORDER BY kind, id, field, problem
ON CONFLICT DO NOTHING

-- name: want_features
INSERT INTO songswap.metadata (kind, id, wanted_since)
SELECT 'features', n.track_id, %(now)s FROM new_tracks n
WHERE NOT EXISTS (SELECT FROM "TrackFeatures" f WHERE f.id = n.track_id)
ORDER BY n.track_id
ON CONFLICT (kind, id) DO UPDATE SET wanted_since = EXCLUDED.wanted_since
WHERE metadata.wanted_since IS NULL AND metadata.answered_at IS NULL

-- name: want_tracks
INSERT INTO songswap.metadata (kind, id, wanted_since)
SELECT 'track', n.track_id, %(now)s FROM new_tracks n
WHERE n.track_id IN (SELECT id FROM staged_tracks WHERE incomplete)
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
FROM (SELECT DISTINCT artist_id FROM new_tracks JOIN "ArtistTracks" USING (track_id)) a
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
SELECT user_id, asked_at, asked_at, asked_at, fingerprint, newest, NULL, pace FROM staged_answers
ORDER BY user_id
ON CONFLICT (user_id) DO UPDATE SET
  asked_at = greatest(p.asked_at, EXCLUDED.asked_at),
  first_answered_at = coalesce(p.first_answered_at, EXCLUDED.first_answered_at),
  answered_at = EXCLUDED.answered_at,
  fingerprint = EXCLUDED.fingerprint,
  newest_played_at = greatest(p.newest_played_at, EXCLUDED.newest_played_at),
  problem = NULL,
  pace = greatest(%(calmer)s * p.pace, EXCLUDED.pace)
WHERE p.answered_at IS NULL OR p.answered_at <= EXCLUDED.answered_at
