-- What /tracks, /artists and /audio-features tell. Only rows of tracks and artists that are there.

-- name: wanted
SELECT id FROM songswap.metadata
WHERE kind = %(kind)s AND wanted_since IS NOT NULL
  AND (not_before IS NULL OR not_before <= %(now)s)
ORDER BY wanted_since, id LIMIT %(limit)s

-- name: told
-- Also of ids that nobody wanted; but nothing is remembered of a track or artist that is not there.
INSERT INTO songswap.metadata (kind, id, answered_at, known, source)
SELECT %(kind)s, id, %(now)s, %(known)s, %(source)s
FROM (
  SELECT id FROM songswap.metadata WHERE kind = %(kind)s
  UNION SELECT id FROM "Artists" WHERE %(kind)s = 'artist'
  UNION SELECT id FROM "Tracks" WHERE %(kind)s <> 'artist'
) asked
WHERE id = ANY (%(ids)s) ORDER BY id
ON CONFLICT (kind, id) DO UPDATE SET
  wanted_since = NULL, not_before = NULL, answered_at = EXCLUDED.answered_at,
  known = EXCLUDED.known, source = EXCLUDED.source

-- name: postpone
INSERT INTO songswap.metadata (kind, id, not_before)
SELECT %(kind)s, id, %(until)s
FROM (
  SELECT id FROM songswap.metadata WHERE kind = %(kind)s
  UNION SELECT id FROM "Artists" WHERE %(kind)s = 'artist'
  UNION SELECT id FROM "Tracks" WHERE %(kind)s <> 'artist'
) asked
WHERE id = ANY (%(ids)s) ORDER BY id
ON CONFLICT (kind, id) DO UPDATE SET not_before = EXCLUDED.not_before

-- name: update_track
UPDATE "Tracks" SET
  name = coalesce(nullif(%(name)s, ''), name),
  duration_ms = coalesce(nullif(%(duration_ms)s, 0), duration_ms)
WHERE id = %(id)s

-- name: want_new_artist
INSERT INTO songswap.metadata (kind, id, wanted_since)
SELECT 'artist', %(artist_id)s::text, %(now)s
WHERE NOT EXISTS (SELECT FROM "Artists" WHERE id = %(artist_id)s::text)
ON CONFLICT DO NOTHING

-- name: upsert_artist
INSERT INTO "Artists" AS a (id, name) VALUES (%(id)s, %(name)s)
ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name
WHERE EXCLUDED.name <> '' AND a.name <> EXCLUDED.name

-- name: insert_artist_track
INSERT INTO "ArtistTracks" (track_id, artist_id, is_primary)
SELECT id, %(artist_id)s, %(is_primary)s FROM "Tracks" WHERE id = %(track_id)s
ON CONFLICT DO NOTHING

-- name: insert_track_popularity
INSERT INTO "TrackPopularity" (id, date, popularity)
SELECT id, %(date)s, %(popularity)s FROM "Tracks" WHERE id = %(id)s
ON CONFLICT DO NOTHING

-- name: upsert_track_image
INSERT INTO "TrackImages" AS i (id, height, width, url)
SELECT id, %(height)s, %(width)s, %(url)s FROM "Tracks" WHERE id = %(id)s
ON CONFLICT (id, height, width) DO UPDATE SET url = EXCLUDED.url WHERE i.url <> EXCLUDED.url

-- name: upsert_track_preview
INSERT INTO "TrackPreviews" AS p (id, url)
SELECT id, %(url)s FROM "Tracks" WHERE id = %(id)s
ON CONFLICT (id) DO UPDATE SET url = EXCLUDED.url WHERE p.url <> EXCLUDED.url

-- name: insert_artist_popularity
INSERT INTO "ArtistPopularity" (id, date, popularity)
SELECT id, %(date)s, %(popularity)s FROM "Artists" WHERE id = %(id)s
ON CONFLICT DO NOTHING

-- name: insert_artist_followers
INSERT INTO "ArtistFollowers" (id, date, followers)
SELECT id, %(date)s, %(followers)s FROM "Artists" WHERE id = %(id)s
ON CONFLICT DO NOTHING

-- name: insert_artist_genre
INSERT INTO "ArtistGenres" (id, genre)
SELECT id, %(genre)s FROM "Artists" WHERE id = %(id)s
ON CONFLICT DO NOTHING

-- name: upsert_artist_image
INSERT INTO "ArtistImages" AS i (id, height, width, url)
SELECT id, %(height)s, %(width)s, %(url)s FROM "Artists" WHERE id = %(id)s
ON CONFLICT (id, height, width) DO UPDATE SET url = EXCLUDED.url WHERE i.url <> EXCLUDED.url

-- name: insert_features
INSERT INTO "TrackFeatures" (id, acousticness, danceability, energy, instrumentalness, key,
  liveness, loudness, mode, speechiness, tempo, time_signature, valence)
SELECT id, %(acousticness)s, %(danceability)s, %(energy)s, %(instrumentalness)s, %(key)s,
  %(liveness)s, %(loudness)s, %(mode)s, %(speechiness)s, %(tempo)s, %(time_signature)s,
  %(valence)s
FROM "Tracks" WHERE id = %(id)s
ON CONFLICT DO NOTHING

-- name: insert_note
INSERT INTO songswap.notes (kind, id, field, problem, found_at)
VALUES (%(kind)s, %(id)s, %(field)s, %(problem)s, %(now)s)
ON CONFLICT DO NOTHING

-- name: lacking_Artists
-- Each row that was to be loaded has to be there, unless its track or artist is not.
SELECT count(*) FROM jsonb_to_recordset(%(rows)s) AS s (id text)
LEFT JOIN "Artists" r USING (id) WHERE r.id IS NULL

-- name: lacking_ArtistTracks
SELECT count(*) FROM jsonb_to_recordset(%(rows)s) AS s (track_id text, artist_id text)
JOIN "Tracks" t ON t.id = s.track_id
LEFT JOIN "ArtistTracks" r USING (track_id, artist_id) WHERE r.track_id IS NULL

-- name: lacking_TrackPopularity
SELECT count(*) FROM jsonb_to_recordset(%(rows)s) AS s (id text, date timestamptz)
JOIN "Tracks" t USING (id)
LEFT JOIN "TrackPopularity" r ON (r.id, r.date) = (s.id, s.date AT TIME ZONE 'UTC')
WHERE r.id IS NULL

-- name: lacking_TrackImages
SELECT count(*) FROM jsonb_to_recordset(%(rows)s) AS s (id text, height integer, width integer)
JOIN "Tracks" t USING (id)
LEFT JOIN "TrackImages" r USING (id, height, width) WHERE r.id IS NULL

-- name: lacking_TrackPreviews
SELECT count(*) FROM jsonb_to_recordset(%(rows)s) AS s (id text)
JOIN "Tracks" t USING (id)
LEFT JOIN "TrackPreviews" r USING (id) WHERE r.id IS NULL

-- name: lacking_ArtistPopularity
SELECT count(*) FROM jsonb_to_recordset(%(rows)s) AS s (id text, date timestamptz)
JOIN "Artists" a USING (id)
LEFT JOIN "ArtistPopularity" r ON (r.id, r.date) = (s.id, s.date AT TIME ZONE 'UTC')
WHERE r.id IS NULL

-- name: lacking_ArtistFollowers
SELECT count(*) FROM jsonb_to_recordset(%(rows)s) AS s (id text, date timestamptz)
JOIN "Artists" a USING (id)
LEFT JOIN "ArtistFollowers" r ON (r.id, r.date) = (s.id, s.date AT TIME ZONE 'UTC')
WHERE r.id IS NULL

-- name: lacking_ArtistGenres
SELECT count(*) FROM jsonb_to_recordset(%(rows)s) AS s (id text, genre text)
JOIN "Artists" a USING (id)
LEFT JOIN "ArtistGenres" r USING (id, genre) WHERE r.id IS NULL

-- name: lacking_ArtistImages
SELECT count(*) FROM jsonb_to_recordset(%(rows)s) AS s (id text, height integer, width integer)
JOIN "Artists" a USING (id)
LEFT JOIN "ArtistImages" r USING (id, height, width) WHERE r.id IS NULL

-- name: lacking_TrackFeatures
SELECT count(*) FROM jsonb_to_recordset(%(rows)s) AS s (id text)
JOIN "Tracks" t USING (id)
LEFT JOIN "TrackFeatures" r USING (id) WHERE r.id IS NULL
