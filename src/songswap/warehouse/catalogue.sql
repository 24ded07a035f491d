-- What answers tell of tracks and artists. What is known already is looked up by key, what is not is
-- copied into the tables as it is.

-- name: known_tracks
SELECT id, name = '' OR duration_ms = 0 FROM "Tracks" WHERE id = ANY (%(ids)s)

-- name: known_artists
SELECT id, name = '' FROM "Artists" WHERE id = ANY (%(ids)s)

-- name: known_artist_tracks
SELECT track_id, artist_id FROM "ArtistTracks" WHERE track_id = ANY (%(ids)s)

-- name: known_track_images
SELECT id, height, width FROM "TrackImages" WHERE id = ANY (%(ids)s)

-- name: known_track_previews
SELECT id FROM "TrackPreviews" WHERE id = ANY (%(ids)s)

-- name: popularity
SELECT id, date AT TIME ZONE 'UTC', popularity FROM "TrackPopularity"
WHERE id = ANY (%(ids)s) AND date >= %(first)s::date AND date < %(last)s::date + 1

-- name: observe_earlier
UPDATE "TrackPopularity" p SET date = s.date AT TIME ZONE 'UTC'
FROM unnest(%(id)s::text[], %(date)s::timestamptz[], %(instead_of)s::timestamptz[])
  s (id, date, instead_of)
WHERE p.id = s.id AND p.date = s.instead_of AT TIME ZONE 'UTC'

-- name: waiting_tracks
SELECT id FROM songswap.metadata
WHERE kind = 'track' AND wanted_since IS NOT NULL AND id = ANY (%(ids)s)

-- name: complete_tracks
-- What is there stands; what an answer had left out is filled in by the next one that tells it.
UPDATE "Tracks" t SET
  name = coalesce(nullif(t.name, ''), s.name),
  duration_ms = coalesce(nullif(t.duration_ms, 0), s.duration_ms)
FROM unnest(%(id)s::text[], %(name)s::text[], %(duration_ms)s::integer[])
  s (id, name, duration_ms)
WHERE t.id = s.id AND (t.name = '' AND s.name <> '' OR t.duration_ms = 0 AND s.duration_ms > 0)

-- name: complete_artists
UPDATE "Artists" a SET name = s.name
FROM unnest(%(id)s::text[], %(name)s::text[]) s (id, name)
WHERE a.id = s.id AND a.name = '' AND s.name <> ''
