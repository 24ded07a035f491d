-- Responses of /tracks, /artists and /audio-features: rows are written only for tracks and artists that
-- exist.

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
ORDER BY id
ON CONFLICT (id) DO NOTHING

-- name: lacking_ArtistTracks
-- How many written rows are missing, here and in the statements below; not those whose track or artist
-- is missing. USING is for `id` alone: with more names it could match columns that the platform added.
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
