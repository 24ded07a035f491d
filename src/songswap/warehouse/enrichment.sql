-- What /tracks, /artists and /audio-features tell. Only rows of tracks and artists that are there.

-- name: by_key
-- Until the end of the transaction. A plan is kept while its session lasts: one that was made while a
-- table was small would read all of it for each answer, when it has long grown.
SELECT set_config(name, 'off', true)
FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) name

-- name: queued_ids
SELECT id FROM songswap.enrichment_queue
WHERE kind = %(kind)s AND queued_at IS NOT NULL
  AND (not_before IS NULL OR not_before <= %(now)s)
ORDER BY queued_at, id LIMIT %(limit)s

-- name: known
-- Also of ids that nobody wanted; but nothing is remembered of a track or artist that is not there.
INSERT INTO songswap.enrichment_queue (kind, id, answered_at, known, source)
SELECT %(kind)s, id, %(now)s, true, %(source)s
FROM unnest(%(ids)s::text[]) asked (id)
WHERE EXISTS (SELECT FROM songswap.enrichment_queue m WHERE (m.kind, m.id) = (%(kind)s, asked.id))
  OR CASE WHEN %(kind)s = 'artist' THEN EXISTS (SELECT FROM "Artists" a WHERE a.id = asked.id)
     ELSE EXISTS (SELECT FROM "Tracks" t WHERE t.id = asked.id) END
ORDER BY id
ON CONFLICT (kind, id) DO UPDATE SET
  queued_at = NULL, not_before = NULL, answered_at = EXCLUDED.answered_at,
  known = true, source = EXCLUDED.source, misses = 0

-- name: missed
-- Spotify misses ids at times that it knows. So an id is wanted still, after each of the waits, and is
-- believed to be unknown when it was missed once more than there are waits.
INSERT INTO songswap.enrichment_queue AS m (kind, id, queued_at, not_before, misses)
SELECT %(kind)s, id, %(now)s, %(now)s + (%(waits)s::interval[])[1], 1
FROM unnest(%(ids)s::text[]) asked (id)
WHERE EXISTS (SELECT FROM songswap.enrichment_queue m WHERE (m.kind, m.id) = (%(kind)s, asked.id))
  OR CASE WHEN %(kind)s = 'artist' THEN EXISTS (SELECT FROM "Artists" a WHERE a.id = asked.id)
     ELSE EXISTS (SELECT FROM "Tracks" t WHERE t.id = asked.id) END
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
-- Of two who ask at once, one counts.
WHERE m.misses = 0 OR m.not_before IS NULL OR m.not_before <= %(now)s

-- name: postpone
INSERT INTO songswap.enrichment_queue (kind, id, not_before)
SELECT %(kind)s, id, %(until)s
FROM unnest(%(ids)s::text[]) asked (id)
WHERE EXISTS (SELECT FROM songswap.enrichment_queue m WHERE (m.kind, m.id) = (%(kind)s, asked.id))
  OR CASE WHEN %(kind)s = 'artist' THEN EXISTS (SELECT FROM "Artists" a WHERE a.id = asked.id)
     ELSE EXISTS (SELECT FROM "Tracks" t WHERE t.id = asked.id) END
ORDER BY id
ON CONFLICT (kind, id) DO UPDATE SET not_before = EXCLUDED.not_before

-- name: update_track
WITH told AS (
  SELECT * FROM json_to_recordset(%(rows)s) s (id text, name text, duration_ms integer)
), known AS (
  DELETE FROM songswap.estimated_durations d
  USING told s WHERE d.id = s.id AND s.duration_ms > 0
)
UPDATE "Tracks" t SET
  name = coalesce(nullif(s.name, ''), t.name),
  duration_ms = coalesce(nullif(s.duration_ms, 0), t.duration_ms)
FROM told s WHERE t.id = s.id

-- name: enqueue_new_artists
INSERT INTO songswap.enrichment_queue (kind, id, queued_at)
SELECT DISTINCT 'artist', s.artist_id, %(now)s
FROM json_to_recordset(%(rows)s) s (artist_id text)
WHERE NOT EXISTS (SELECT FROM "Artists" WHERE id = s.artist_id)
ON CONFLICT DO NOTHING

-- name: upsert_artists
INSERT INTO "Artists" AS a (id, name)
SELECT id, name FROM json_to_recordset(%(rows)s) s (id text, name text)
ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name
WHERE EXCLUDED.name <> '' AND a.name <> EXCLUDED.name

-- name: change_primary_artists
-- Where a primary artist is told, no other one is it.
UPDATE "ArtistTracks" l SET is_primary = NOT l.is_primary
FROM json_to_recordset(%(rows)s) s (track_id text, artist_id text, is_primary boolean)
WHERE l.track_id = s.track_id AND s.is_primary AND l.is_primary <> (l.artist_id = s.artist_id)

-- name: insert_artist_tracks
INSERT INTO "ArtistTracks" (track_id, artist_id, is_primary)
SELECT t.id, s.artist_id, s.is_primary
FROM json_to_recordset(%(rows)s) s (track_id text, artist_id text, is_primary boolean)
JOIN "Tracks" t ON t.id = s.track_id
ON CONFLICT (track_id, artist_id) DO NOTHING

-- name: upsert_track_images
INSERT INTO "TrackImages" AS i (id, height, width, url)
SELECT id, s.height, s.width, s.url
FROM json_to_recordset(%(rows)s) s (id text, height integer, width integer, url text)
JOIN "Tracks" USING (id)
ON CONFLICT (id, height, width) DO UPDATE SET url = EXCLUDED.url WHERE i.url <> EXCLUDED.url

-- name: upsert_track_previews
INSERT INTO "TrackPreviews" AS p (id, url)
SELECT id, s.url FROM json_to_recordset(%(rows)s) s (id text, url text)
JOIN "Tracks" USING (id)
ON CONFLICT (id) DO UPDATE SET url = EXCLUDED.url WHERE p.url <> EXCLUDED.url

-- name: insert_artist_popularity
INSERT INTO "ArtistPopularity" AS p (id, date, popularity)
SELECT id, s.date AT TIME ZONE 'UTC', s.popularity
FROM json_to_recordset(%(rows)s) s (id text, date timestamptz, popularity integer)
JOIN "Artists" USING (id)
ON CONFLICT (id, date) DO UPDATE SET popularity = EXCLUDED.popularity
WHERE p.popularity < EXCLUDED.popularity

-- name: insert_artist_followers
INSERT INTO "ArtistFollowers" AS f (id, date, followers)
SELECT id, s.date AT TIME ZONE 'UTC', s.followers
FROM json_to_recordset(%(rows)s) s (id text, date timestamptz, followers integer)
JOIN "Artists" USING (id)
ON CONFLICT (id, date) DO UPDATE SET followers = EXCLUDED.followers
WHERE f.followers < EXCLUDED.followers

-- name: insert_artist_genres
INSERT INTO "ArtistGenres" (id, genre)
SELECT id, s.genre FROM json_to_recordset(%(rows)s) s (id text, genre text)
JOIN "Artists" USING (id)
ON CONFLICT (id, genre) DO NOTHING

-- name: upsert_artist_images
INSERT INTO "ArtistImages" AS i (id, height, width, url)
SELECT id, s.height, s.width, s.url
FROM json_to_recordset(%(rows)s) s (id text, height integer, width integer, url text)
JOIN "Artists" USING (id)
ON CONFLICT (id, height, width) DO UPDATE SET url = EXCLUDED.url WHERE i.url <> EXCLUDED.url

-- name: insert_features
INSERT INTO "TrackFeatures" (id, acousticness, danceability, energy, instrumentalness, key,
  liveness, loudness, mode, speechiness, tempo, time_signature, valence)
SELECT s.* FROM json_to_recordset(%(rows)s) s (id text, acousticness float, danceability float,
  energy float, instrumentalness float, key integer, liveness float, loudness float, mode integer,
  speechiness float, tempo float, time_signature integer, valence float)
JOIN "Tracks" USING (id)
ON CONFLICT (id) DO NOTHING

-- name: insert_data_fixes
INSERT INTO songswap.data_fixes (kind, id, field, problem, found_at)
SELECT s.kind, s.id, s.field, s.problem, %(now)s
FROM json_to_recordset(%(rows)s) s (kind text, id text, field text, problem text)
ON CONFLICT DO NOTHING

-- name: lacking_Artists
-- Each row that was to be loaded has to be there, unless its track or artist is not. USING would take
-- columns that the platform has added for those that are meant.
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
