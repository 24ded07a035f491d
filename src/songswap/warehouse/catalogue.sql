-- What answers tell of tracks and artists. What is known already is looked up by key, what is not is
-- copied into the tables as it is. Where the platform lets a column be NULL, it is as if it were empty.

-- name: there
SELECT id FROM "Tracks" WHERE id = ANY (%(ids)s)

-- name: known_tracks
-- A length that only exports tell is none: whatever Spotify tells takes its place.
SELECT t.id, coalesce(t.name, ''), CASE WHEN d.id IS NULL THEN coalesce(t.duration_ms, 0) ELSE 0 END
FROM "Tracks" t LEFT JOIN songswap.estimated_durations d ON d.id = t.id
WHERE t.id = ANY (%(ids)s)

-- name: known_artists
SELECT id, coalesce(name, '') FROM "Artists" WHERE id = ANY (%(ids)s)

-- name: known_artist_tracks
SELECT track_id, artist_id, coalesce(is_primary, false) FROM "ArtistTracks" WHERE track_id = ANY (%(ids)s)

-- name: known_track_images
SELECT id, height, width, coalesce(url, '') FROM "TrackImages" WHERE id = ANY (%(ids)s)

-- name: known_track_previews
SELECT id, coalesce(url, '') FROM "TrackPreviews" WHERE id = ANY (%(ids)s)

-- name: answered
SELECT id FROM songswap.enrichment_queue
WHERE kind = %(kind)s AND known AND answered_at IS NOT NULL AND id = ANY (%(ids)s)

-- name: forms
SELECT id, form FROM songswap.track_forms WHERE id = ANY (%(ids)s)

-- name: keep_forms
INSERT INTO songswap.track_forms (id, form)
SELECT id, form FROM unnest(%(id)s::text[], %(form)s::bigint[]) s (id, form)
ON CONFLICT (id) DO UPDATE SET form = EXCLUDED.form

-- name: change_tracks
WITH told AS (
  SELECT id, name, duration_ms
  FROM unnest(%(id)s::text[], %(name)s::text[], %(duration_ms)s::integer[]) s (id, name, duration_ms)
), known AS (
  DELETE FROM songswap.estimated_durations d
  USING told s WHERE d.id = s.id AND s.duration_ms > 0
)
UPDATE "Tracks" t SET name = s.name,
  duration_ms = coalesce(nullif(s.duration_ms, 0), t.duration_ms, 0)
FROM told s WHERE t.id = s.id

-- name: fill_durations
-- Of tracks whose length Spotify has not told, the longest that exports tell.
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

-- name: change_artists
UPDATE "Artists" a SET name = s.name
FROM unnest(%(id)s::text[], %(name)s::text[]) s (id, name)
WHERE a.id = s.id

-- name: change_artist_tracks
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
SELECT id, date AT TIME ZONE 'UTC', popularity FROM "TrackPopularity"
WHERE id = ANY (%(ids)s) AND date >= %(first)s::date AND date < %(last)s::date + 1
  AND popularity IS NOT NULL

-- name: move_popularity
UPDATE "TrackPopularity" p SET date = s.date AT TIME ZONE 'UTC'
FROM unnest(%(id)s::text[], %(date)s::timestamptz[], %(instead_of)s::timestamptz[])
  s (id, date, instead_of)
WHERE p.id = s.id AND p.date = s.instead_of AT TIME ZONE 'UTC'
