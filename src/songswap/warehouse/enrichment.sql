-- The enrichment queue, and responses of /tracks, /artists and /audio-features: rows are written only
-- for tracks and artists that exist.

-- name: queued_ids
-- Without those that are postponed.
SELECT id FROM songswap.enrichment_queue
WHERE kind = %(kind)s AND queued_at IS NOT NULL
  AND (not_before IS NULL OR not_before <= %(now)s)
ORDER BY queued_at, id LIMIT %(limit)s

-- name: enqueue_features
-- Features do not change: those of a track are fetched once.
INSERT INTO songswap.enrichment_queue AS q (kind, id, queued_at)
SELECT 'features', n.track_id, %(now)s FROM unnest(%(tracks)s::text[]) n (track_id)
WHERE NOT EXISTS (SELECT FROM "TrackFeatures" f WHERE f.id = n.track_id)
ORDER BY n.track_id
ON CONFLICT (kind, id) DO UPDATE SET queued_at = EXCLUDED.queued_at
WHERE q.queued_at IS NULL AND q.answered_at IS NULL

-- name: enqueue_tracks
-- Tracks that lack something, or whose popularity is stale. An unknown id stays unknown.
INSERT INTO songswap.enrichment_queue AS q (kind, id, queued_at)
SELECT 'track', n.track_id, %(now)s FROM unnest(%(tracks)s::text[]) n (track_id)
WHERE n.track_id = ANY (%(incomplete)s)
   OR NOT EXISTS (
     SELECT FROM "TrackPopularity" p WHERE p.id = n.track_id AND p.date > %(stale)s
   )
ORDER BY n.track_id
ON CONFLICT (kind, id) DO UPDATE SET queued_at = EXCLUDED.queued_at
WHERE q.queued_at IS NULL
  AND (q.answered_at IS NULL OR q.known AND q.answered_at < %(stale)s)

-- name: enqueue_artists
-- Artists of these tracks, and others that are new, whose popularity is stale.
INSERT INTO songswap.enrichment_queue AS q (kind, id, queued_at)
SELECT 'artist', a.artist_id, %(now)s
FROM (
  SELECT artist_id FROM "ArtistTracks" WHERE track_id = ANY (%(tracks)s)
  UNION SELECT unnest(%(artists)s::text[])
) a
WHERE NOT EXISTS (
  SELECT FROM "ArtistPopularity" p WHERE p.id = a.artist_id AND p.date > %(stale)s
)
ORDER BY a.artist_id
ON CONFLICT (kind, id) DO UPDATE SET queued_at = EXCLUDED.queued_at
WHERE q.queued_at IS NULL
  AND (q.answered_at IS NULL OR q.known AND q.answered_at < %(stale)s)

-- name: record_received
-- Ids that were not queued too; but nothing is recorded of a track or artist that does not exist.
INSERT INTO songswap.enrichment_queue (kind, id, answered_at, known, source)
SELECT %(kind)s, id, %(now)s, true, %(source)s
FROM unnest(%(ids)s::text[]) r (id)
WHERE EXISTS (SELECT FROM songswap.enrichment_queue m WHERE (m.kind, m.id) = (%(kind)s, r.id))
  OR CASE WHEN %(kind)s = 'artist' THEN EXISTS (SELECT FROM "Artists" a WHERE a.id = r.id)
     ELSE EXISTS (SELECT FROM "Tracks" t WHERE t.id = r.id) END
ORDER BY id
ON CONFLICT (kind, id) DO UPDATE SET
  queued_at = NULL, not_before = NULL, answered_at = EXCLUDED.answered_at,
  known = true, source = EXCLUDED.source, misses = 0

-- name: record_missed
-- Spotify misses ids at times that it knows. So an id stays queued after each of the waits, and is
-- recorded as unknown when it was missed once more than there are waits.
INSERT INTO songswap.enrichment_queue AS m (kind, id, queued_at, not_before, misses)
SELECT %(kind)s, id, %(now)s, %(now)s + (%(waits)s::interval[])[1], 1
FROM unnest(%(ids)s::text[]) r (id)
WHERE EXISTS (SELECT FROM songswap.enrichment_queue m WHERE (m.kind, m.id) = (%(kind)s, r.id))
  OR CASE WHEN %(kind)s = 'artist' THEN EXISTS (SELECT FROM "Artists" a WHERE a.id = r.id)
     ELSE EXISTS (SELECT FROM "Tracks" t WHERE t.id = r.id) END
ORDER BY id
ON CONFLICT (kind, id) DO UPDATE SET (misses, queued_at, not_before, answered_at, known, source) = (
  SELECT missed.times,
    CASE WHEN missed.wait IS NOT NULL THEN coalesce(m.queued_at, %(now)s) END,
    CASE WHEN missed.wait IS NOT NULL THEN greatest(m.not_before, %(now)s + missed.wait) END,
    CASE WHEN missed.wait IS NULL THEN %(now)s ELSE m.answered_at END,
    CASE WHEN missed.wait IS NULL THEN false ELSE m.known END,
    CASE WHEN missed.wait IS NULL THEN %(source)s ELSE m.source END
  FROM (SELECT m.misses + 1, (%(waits)s::interval[])[m.misses + 1]) missed (times, wait)
)
-- Two concurrent requests count as one.
WHERE m.misses = 0 OR m.not_before IS NULL OR m.not_before <= %(now)s

-- name: postpone
-- Whether an id is queued or not: nobody requests it before.
INSERT INTO songswap.enrichment_queue (kind, id, not_before)
SELECT %(kind)s, id, %(until)s
FROM unnest(%(ids)s::text[]) r (id)
WHERE EXISTS (SELECT FROM songswap.enrichment_queue m WHERE (m.kind, m.id) = (%(kind)s, r.id))
  OR CASE WHEN %(kind)s = 'artist' THEN EXISTS (SELECT FROM "Artists" a WHERE a.id = r.id)
     ELSE EXISTS (SELECT FROM "Tracks" t WHERE t.id = r.id) END
ORDER BY id
ON CONFLICT (kind, id) DO UPDATE SET not_before = EXCLUDED.not_before

-- name: plan_by_key
-- Look rows up by key until the end of the transaction. A plan lives as long as its session: one that was
-- made while a table was small would read all of it for each response once it has grown.
SELECT set_config(name, 'off', true)
FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) name

-- name: update_tracks
-- Empty values of the response change nothing; a length that Spotify returned is no estimate.
WITH changed AS (
  SELECT * FROM json_to_recordset(%(rows)s) s (id text, name text, duration_ms integer)
), not_estimated AS (
  DELETE FROM songswap.estimated_durations d
  USING changed s WHERE d.id = s.id AND s.duration_ms > 0
)
UPDATE "Tracks" t SET
  name = coalesce(nullif(s.name, ''), t.name),
  duration_ms = coalesce(nullif(s.duration_ms, 0), t.duration_ms)
FROM changed s WHERE t.id = s.id

-- name: enqueue_new_artists
-- Artists of a track that have no row yet.
INSERT INTO songswap.enrichment_queue (kind, id, queued_at)
SELECT DISTINCT 'artist', s.artist_id, %(now)s
FROM json_to_recordset(%(rows)s) s (artist_id text)
WHERE NOT EXISTS (SELECT FROM "Artists" WHERE id = s.artist_id)
ON CONFLICT DO NOTHING

-- name: upsert_artists
-- An empty name changes nothing.
INSERT INTO "Artists" AS a (id, name)
SELECT id, name FROM json_to_recordset(%(rows)s) s (id text, name text)
ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name
WHERE EXCLUDED.name <> '' AND a.name <> EXCLUDED.name

-- name: change_primary_artists
-- A track whose response names its primary artist has no other one.
UPDATE "ArtistTracks" l SET is_primary = NOT l.is_primary
FROM json_to_recordset(%(rows)s) s (track_id text, artist_id text, is_primary boolean)
WHERE l.track_id = s.track_id AND s.is_primary AND l.is_primary <> (l.artist_id = s.artist_id)

-- name: insert_artist_tracks
-- Links of tracks that exist; `change_primary_artists` has made room for a new primary artist.
INSERT INTO "ArtistTracks" (track_id, artist_id, is_primary)
SELECT t.id, s.artist_id, s.is_primary
FROM json_to_recordset(%(rows)s) s (track_id text, artist_id text, is_primary boolean)
JOIN "Tracks" t ON t.id = s.track_id
ON CONFLICT (track_id, artist_id) DO NOTHING

-- name: upsert_track_images
-- An image's key has its size: the newest url of each stays.
INSERT INTO "TrackImages" AS i (id, height, width, url)
SELECT id, s.height, s.width, s.url
FROM json_to_recordset(%(rows)s) s (id text, height integer, width integer, url text)
JOIN "Tracks" USING (id)
ON CONFLICT (id, height, width) DO UPDATE SET url = EXCLUDED.url WHERE i.url <> EXCLUDED.url

-- name: upsert_track_previews
-- The newest url stays.
INSERT INTO "TrackPreviews" AS p (id, url)
SELECT id, s.url FROM json_to_recordset(%(rows)s) s (id text, url text)
JOIN "Tracks" USING (id)
ON CONFLICT (id) DO UPDATE SET url = EXCLUDED.url WHERE p.url <> EXCLUDED.url

-- name: insert_artist_popularity
-- Of two values of one moment the larger stays.
INSERT INTO "ArtistPopularity" AS p (id, date, popularity)
SELECT id, s.date AT TIME ZONE 'UTC', s.popularity
FROM json_to_recordset(%(rows)s) s (id text, date timestamptz, popularity integer)
JOIN "Artists" USING (id)
ON CONFLICT (id, date) DO UPDATE SET popularity = EXCLUDED.popularity
WHERE p.popularity < EXCLUDED.popularity

-- name: insert_artist_followers
-- Of two values of one moment the larger stays.
INSERT INTO "ArtistFollowers" AS f (id, date, followers)
SELECT id, s.date AT TIME ZONE 'UTC', s.followers
FROM json_to_recordset(%(rows)s) s (id text, date timestamptz, followers integer)
JOIN "Artists" USING (id)
ON CONFLICT (id, date) DO UPDATE SET followers = EXCLUDED.followers
WHERE f.followers < EXCLUDED.followers

-- name: insert_artist_genres
-- Genres are added and never removed.
INSERT INTO "ArtistGenres" (id, genre)
SELECT id, s.genre FROM json_to_recordset(%(rows)s) s (id text, genre text)
JOIN "Artists" USING (id)
ON CONFLICT (id, genre) DO NOTHING

-- name: upsert_artist_images
-- As images of tracks.
INSERT INTO "ArtistImages" AS i (id, height, width, url)
SELECT id, s.height, s.width, s.url
FROM json_to_recordset(%(rows)s) s (id text, height integer, width integer, url text)
JOIN "Artists" USING (id)
ON CONFLICT (id, height, width) DO UPDATE SET url = EXCLUDED.url WHERE i.url <> EXCLUDED.url

-- name: insert_features
-- Features do not change: the first stay.
INSERT INTO "TrackFeatures" (id, acousticness, danceability, energy, instrumentalness, key,
  liveness, loudness, mode, speechiness, tempo, time_signature, valence)
SELECT s.* FROM json_to_recordset(%(rows)s) s (id text, acousticness float, danceability float,
  energy float, instrumentalness float, key integer, liveness float, loudness float, mode integer,
  speechiness float, tempo float, time_signature integer, valence float)
JOIN "Tracks" USING (id)
ON CONFLICT (id) DO NOTHING

-- name: lacking_Artists
-- How many written rows are missing, here and in the statements below; not those whose track or artist
-- is missing. USING is for `id` alone: with more names it could match columns that the platform added.
SELECT count(*) FROM json_to_recordset(%(rows)s) AS s (id text)
LEFT JOIN "Artists" r USING (id) WHERE r.id IS NULL

-- name: lacking_ArtistTracks
SELECT count(*) FROM json_to_recordset(%(rows)s) AS s (track_id text, artist_id text)
JOIN "Tracks" t ON t.id = s.track_id
LEFT JOIN "ArtistTracks" r ON (r.track_id, r.artist_id) = (s.track_id, s.artist_id)
WHERE r.track_id IS NULL

-- name: lacking_TrackImages
SELECT count(*) FROM json_to_recordset(%(rows)s) AS s (id text, height integer, width integer)
JOIN "Tracks" t USING (id)
LEFT JOIN "TrackImages" r ON (r.id, r.height, r.width) = (s.id, s.height, s.width)
WHERE r.id IS NULL

-- name: lacking_TrackPreviews
SELECT count(*) FROM json_to_recordset(%(rows)s) AS s (id text)
JOIN "Tracks" t USING (id)
LEFT JOIN "TrackPreviews" r ON r.id = s.id WHERE r.id IS NULL

-- name: lacking_ArtistPopularity
SELECT count(*) FROM json_to_recordset(%(rows)s) AS s (id text, date timestamptz)
JOIN "Artists" a USING (id)
LEFT JOIN "ArtistPopularity" r ON (r.id, r.date) = (s.id, s.date AT TIME ZONE 'UTC')
WHERE r.id IS NULL

-- name: lacking_ArtistFollowers
SELECT count(*) FROM json_to_recordset(%(rows)s) AS s (id text, date timestamptz)
JOIN "Artists" a USING (id)
LEFT JOIN "ArtistFollowers" r ON (r.id, r.date) = (s.id, s.date AT TIME ZONE 'UTC')
WHERE r.id IS NULL

-- name: lacking_ArtistGenres
SELECT count(*) FROM json_to_recordset(%(rows)s) AS s (id text, genre text)
JOIN "Artists" a USING (id)
LEFT JOIN "ArtistGenres" r ON (r.id, r.genre) = (s.id, s.genre)
WHERE r.id IS NULL

-- name: lacking_ArtistImages
SELECT count(*) FROM json_to_recordset(%(rows)s) AS s (id text, height integer, width integer)
JOIN "Artists" a USING (id)
LEFT JOIN "ArtistImages" r ON (r.id, r.height, r.width) = (s.id, s.height, s.width)
WHERE r.id IS NULL

-- name: lacking_TrackFeatures
SELECT count(*) FROM json_to_recordset(%(rows)s) AS s (id text)
JOIN "Tracks" t USING (id)
LEFT JOIN "TrackFeatures" r ON r.id = s.id WHERE r.id IS NULL
