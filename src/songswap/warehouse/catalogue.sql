-- Rows of tracks of responses: known rows are looked up by key, new ones are copied into the tables. A NULL
-- in a column that the platform lets be NULL is read as empty.

-- name: plan_by_key
-- Until the end of the transaction. A plan that is made while a table is small, or seems so, reads all of it.
SELECT set_config(name, 'off', true)
FROM unnest('{enable_seqscan,enable_hashjoin,enable_mergejoin}'::text[]) name

-- name: existing
-- The tracks that have a row.
SELECT id FROM "Tracks" WHERE id = ANY (%(ids)s)

-- name: known_tracks
-- An estimated length is read as none: any length that Spotify returns replaces it.
SELECT t.id, coalesce(t.name, ''),
  CASE WHEN d.id IS NULL THEN coalesce(t.duration_ms, 0) ELSE 0 END
FROM "Tracks" t LEFT JOIN songswap.estimated_durations d ON d.id = t.id
WHERE t.id = ANY (%(ids)s)

-- name: known_artists
-- Artists have few columns: a row differs by its name alone.
SELECT id, coalesce(name, '') FROM "Artists" WHERE id = ANY (%(ids)s)

-- name: authoritative
-- Tracks or artists that Spotify's own endpoint returned.
SELECT id FROM songswap.enrichment_queue
WHERE kind = %(kind)s AND known AND answered_at IS NOT NULL AND id = ANY (%(ids)s)

-- name: known_artist_tracks
-- All links of these tracks, for one artist of each is primary.
SELECT track_id, artist_id, coalesce(is_primary, false) FROM "ArtistTracks"
WHERE track_id = ANY (%(ids)s)

-- name: known_track_images
-- An image differs by its url alone: its size is in the key.
SELECT id, height, width, coalesce(url, '') FROM "TrackImages" WHERE id = ANY (%(ids)s)

-- name: known_track_previews
-- A track has one preview.
SELECT id, coalesce(url, '') FROM "TrackPreviews" WHERE id = ANY (%(ids)s)

-- name: forms
-- The checksum of the form in which a track came last: the same form holds nothing new.
SELECT id, form FROM songswap.track_forms WHERE id = ANY (%(ids)s)

-- name: upsert_forms
-- After the rows of the track, in their transaction.
INSERT INTO songswap.track_forms (id, form)
SELECT id, form FROM unnest(%(id)s::text[], %(form)s::bigint[]) s (id, form)
ON CONFLICT (id) DO UPDATE SET form = EXCLUDED.form

-- name: change_tracks
-- A length that Spotify returned is no estimate.
WITH changed AS (
  SELECT id, name, duration_ms
  FROM unnest(%(id)s::text[], %(name)s::text[], %(duration_ms)s::integer[])
    s (id, name, duration_ms)
), not_estimated AS (
  DELETE FROM songswap.estimated_durations d
  USING changed s WHERE d.id = s.id AND s.duration_ms > 0
)
UPDATE "Tracks" t SET name = s.name,
  duration_ms = coalesce(nullif(s.duration_ms, 0), t.duration_ms, 0)
FROM changed s WHERE t.id = s.id

-- name: fill_durations
-- The longest that exports suggest, for tracks whose length Spotify has not returned.
WITH filled AS (
  UPDATE "Tracks" t SET duration_ms = e.duration_ms
  FROM songswap.export_tracks e
  WHERE e.id = t.id AND t.id = ANY (%(ids)s)
    AND coalesce(t.duration_ms, 0) < e.duration_ms
    AND (
      coalesce(t.duration_ms, 0) = 0
      OR EXISTS (SELECT FROM songswap.estimated_durations d WHERE d.id = t.id)
    )
  RETURNING t.id
)
INSERT INTO songswap.estimated_durations SELECT id FROM filled ON CONFLICT DO NOTHING

-- name: change_artist_tracks
-- By key, like the two below: a row changes where a response has larger values.
UPDATE "ArtistTracks" l SET is_primary = s.is_primary
FROM unnest(%(track_id)s::text[], %(artist_id)s::text[], %(is_primary)s::boolean[])
  s (track_id, artist_id, is_primary)
WHERE (l.track_id, l.artist_id) = (s.track_id, s.artist_id)

-- name: change_track_images
UPDATE "TrackImages" i SET url = s.url
FROM unnest(%(id)s::text[], %(height)s::integer[], %(width)s::integer[], %(url)s::text[])
  s (id, height, width, url)
WHERE (i.id, i.height, i.width) = (s.id, s.height, s.width)

-- name: change_track_previews
UPDATE "TrackPreviews" p SET url = s.url
FROM unnest(%(id)s::text[], %(url)s::text[]) s (id, url)
WHERE p.id = s.id

-- name: popularity
-- All rows of these tracks in the days of the responses, to compare them by day.
SELECT id, date AT TIME ZONE 'UTC', popularity FROM "TrackPopularity"
WHERE id = ANY (%(ids)s) AND date >= %(first)s::date AND date < %(last)s::date + 1
  AND popularity IS NOT NULL

-- name: move_popularity
-- To its place by `popularity.compare`, which is free by then.
UPDATE "TrackPopularity" p SET date = s.date AT TIME ZONE 'UTC'
FROM unnest(%(id)s::text[], %(date)s::timestamptz[], %(instead_of)s::timestamptz[])
  s (id, date, instead_of)
WHERE p.id = s.id AND p.date = s.instead_of AT TIME ZONE 'UTC'
