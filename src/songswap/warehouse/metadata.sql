-- What /tracks, /artists and /audio-features tell. Only rows of tracks and artists that are there.

-- name: wanted
SELECT id FROM songswap.metadata
WHERE kind = %(kind)s AND wanted_since IS NOT NULL
  AND (not_before IS NULL OR not_before <= %(now)s)
ORDER BY wanted_since, id LIMIT %(limit)s

-- name: told
UPDATE songswap.metadata
SET wanted_since = NULL, not_before = NULL, answered_at = %(now)s, known = %(known)s
WHERE kind = %(kind)s AND id = ANY (%(ids)s)

-- name: postpone
UPDATE songswap.metadata SET not_before = %(until)s
WHERE kind = %(kind)s AND id = ANY (%(ids)s)

-- name: update_track
UPDATE "Tracks" SET
  name = coalesce(nullif(%(name)s, ''), name),
  duration_ms = coalesce(nullif(%(duration_ms)s, 0), duration_ms)
WHERE id = %(id)s

-- name: upsert_artist
INSERT INTO "Artists" AS a (id, name) VALUES (%(id)s, %(name)s)
ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name
WHERE EXCLUDED.name <> '' AND a.name <> EXCLUDED.name

-- name: insert_artist_track
INSERT INTO "ArtistTracks" (track_id, artist_id, is_primary)
SELECT id, %(artist_id)s, %(is_primary)s FROM "Tracks" WHERE id = %(track_id)s
ON CONFLICT DO NOTHING

-- name: want_artist
INSERT INTO songswap.metadata (kind, id, wanted_since)
VALUES ('artist', %(artist_id)s, %(now)s)
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
