-- Streams of users' exports, under the lock of the user, and what exports say of tracks, under the locks
-- of their shards.

-- name: stored_streams
-- The user's streams around an export, in order, to be compared. Names of identified streams are stored once a track.
SELECT s.ended_at, s.ms_played, s.track_id, coalesce(s.track_name, e.name),
  coalesce(s.artist_name, e.artist), s.incognito, s.platform, s.to_the_minute, s.place,
  s.outcome, s.played_at AT TIME ZONE 'UTC', s.reported_at
FROM songswap.streams s LEFT JOIN songswap.export_tracks e ON e.id = s.track_id
WHERE s.user_id = %(user_id)s AND s.ended_at BETWEEN %(since)s AND %(until)s
ORDER BY s.ended_at, s.ms_played, s.place

-- name: stored_plays
-- The user's plays, with the outcome of the stream that each belongs to; NULL where it has none.
SELECT h.played_at AT TIME ZONE 'UTC', h.track_id, s.outcome
FROM "History" h
LEFT JOIN songswap.streams s ON s.user_id = h.user_id AND s.played_at = h.played_at
WHERE h.user_id = %(user_id)s
  AND h.played_at BETWEEN (%(since)s AT TIME ZONE 'UTC') AND (%(until)s AT TIME ZONE 'UTC')
ORDER BY h.played_at, s.outcome

-- name: spotify_id
-- Whether there is the user, and whose export is expected.
SELECT spotify_id FROM "Users" WHERE id = %(user_id)s

-- name: track_names
-- A track's name and its primary artist's, where both are known.
SELECT t.id, t.name, a.name
FROM "Tracks" t
JOIN "ArtistTracks" l ON l.track_id = t.id AND l.is_primary
JOIN "Artists" a ON a.id = l.artist_id
WHERE t.id = ANY (%(ids)s) AND t.name <> '' AND a.name <> ''

-- name: identify
-- The tracks with a name and an artist's name, by exports or by Spotify, and how often the user has
-- played each.
WITH unknown AS (
  SELECT name, artist FROM unnest(%(names)s::text[], %(artists)s::text[]) u (name, artist)
), found AS (
  SELECT u.name, u.artist, e.id FROM unknown u
  JOIN songswap.export_tracks e ON e.name = u.name AND e.artist = u.artist
  UNION
  SELECT u.name, u.artist, t.id FROM unknown u
  JOIN "Tracks" t ON t.name = left(u.name, 240)
  JOIN "ArtistTracks" l ON l.track_id = t.id AND l.is_primary
  JOIN "Artists" a ON a.id = l.artist_id AND a.name = left(u.artist, 120)
)
SELECT f.name, f.artist, f.id,
  (SELECT count(*) FROM "History" h WHERE h.user_id = %(user_id)s AND h.track_id = f.id)
FROM found f

-- name: delete_streams
-- Streams that others replace.
DELETE FROM songswap.streams s
USING unnest(%(ended_at)s::timestamptz[], %(ms_played)s::integer[], %(places)s::smallint[])
  d (ended_at, ms_played, place)
WHERE s.user_id = %(user_id)s
  AND (s.ended_at, s.ms_played, s.place) = (d.ended_at, d.ms_played, d.place)

-- name: correct_plays
-- A play that was loaded by its names alone can turn out to be of another track with these names.
UPDATE "History" h SET track_id = c.track_id
FROM unnest(%(played_at)s::timestamptz[], %(track_ids)s::text[]) c (played_at, track_id)
WHERE h.user_id = %(user_id)s AND h.played_at = c.played_at AT TIME ZONE 'UTC'
  AND h.track_id <> c.track_id

-- name: undescribed
-- Tracks of which Spotify has not said all here, with the names that exports have given.
SELECT s.id, e.name, e.artist, e.album
FROM unnest(%(ids)s::text[]) s (id)
LEFT JOIN "Tracks" t ON t.id = s.id
LEFT JOIN songswap.export_tracks e ON e.id = s.id
WHERE coalesce(t.name, '') = '' OR coalesce(t.duration_ms, 0) = 0
  OR EXISTS (SELECT FROM songswap.estimated_durations d WHERE d.id = s.id)

-- name: tracks_with_news
-- Tracks of which an export says something new, which are missing, or whose length it can fill in.
SELECT s.id
FROM unnest(%(ids)s::text[], %(names)s::text[], %(artists)s::text[], %(albums)s::text[],
  %(durations)s::integer[], %(heard)s::boolean[]) s (id, name, artist, album, duration_ms, heard)
LEFT JOIN songswap.export_tracks e ON e.id = s.id
LEFT JOIN "Tracks" t ON t.id = s.id
WHERE s.name IS NOT NULL AND (
    e.id IS NULL OR e.duration_ms < s.duration_ms
    OR (e.name COLLATE "C", e.artist COLLATE "C", e.album COLLATE "C")
      < (s.name, s.artist, s.album)
  )
  OR s.heard AND t.id IS NULL
  OR coalesce(t.duration_ms, 0) < e.duration_ms AND (
    coalesce(t.duration_ms, 0) = 0
    OR EXISTS (SELECT FROM songswap.estimated_durations d WHERE d.id = t.id)
  )

-- name: upsert_names
-- Where exports differ the larger value stays, whichever came first.
INSERT INTO songswap.export_tracks AS e (id, name, artist, album, duration_ms)
SELECT id, name, artist, album, duration_ms
FROM unnest(%(ids)s::text[], %(names)s::text[], %(artists)s::text[], %(albums)s::text[],
  %(durations)s::integer[]) s (id, name, artist, album, duration_ms)
ORDER BY id
ON CONFLICT (id) DO UPDATE SET
  (name, artist, album) = (
    SELECT t.name, t.artist, t.album
    FROM (VALUES (e.name, e.artist, e.album), (EXCLUDED.name, EXCLUDED.artist, EXCLUDED.album))
      t (name, artist, album)
    ORDER BY t.name COLLATE "C" DESC, t.artist COLLATE "C" DESC, t.album COLLATE "C" DESC LIMIT 1
  ),
  duration_ms = greatest(e.duration_ms, EXCLUDED.duration_ms)
WHERE e.duration_ms < EXCLUDED.duration_ms
  OR (e.name COLLATE "C", e.artist COLLATE "C", e.album COLLATE "C")
    < (EXCLUDED.name, EXCLUDED.artist, EXCLUDED.album)

-- name: insert_tracks
-- With the length that exports suggest, by then: the same row twice would cost more than the look-up.
WITH inserted AS (
  INSERT INTO "Tracks" (id, name, duration_ms)
  SELECT s.id, s.name, coalesce(e.duration_ms, 0)
  FROM unnest(%(ids)s::text[], %(names)s::text[]) s (id, name)
  LEFT JOIN songswap.export_tracks e ON e.id = s.id
  RETURNING id, duration_ms
), estimated AS (
  INSERT INTO songswap.estimated_durations
  SELECT id FROM inserted WHERE duration_ms > 0 ON CONFLICT DO NOTHING
)
SELECT count(*) FROM inserted

-- name: close_gaps
-- An export has all plays between its first and its last row.
UPDATE songswap.gaps g SET closed_at = %(now)s
FROM unnest(%(oldest)s::timestamptz[], %(newest)s::timestamptz[]) e (oldest, newest)
WHERE g.user_id = %(user_id)s AND g.closed_at IS NULL
  AND e.oldest <= g.after AND e.newest >= g.before

-- name: adopt_import
-- The row of the same import: of a replay that read its objects while it ran, or of an earlier try.
UPDATE songswap.imports i SET import_id = %(run_id)s
WHERE i.user_id = %(user_id)s AND (
  i.import_id = %(run_id)s AND i.raw_keys = %(raw_keys)s::text[]
  OR i.started_at = %(now)s
    AND right(i.import_id, length(%(replayed)s)) = %(replayed)s
    AND NOT EXISTS (SELECT FROM songswap.imports WHERE import_id = %(run_id)s)
)
RETURNING i.counts

-- name: insert_import
-- The replay of a recorded import is not recorded again. By its objects: their time is that of the try
-- that archived them, and a later one may have loaded them.
INSERT INTO songswap.imports (import_id, user_id, started_at, ended_at, raw_keys, counts)
SELECT %(run_id)s, %(user_id)s, %(now)s, clock_timestamp(), %(raw_keys)s, %(counts)s
WHERE NOT (%(is_replay)s AND EXISTS (
  SELECT FROM songswap.imports i
  WHERE i.user_id = %(user_id)s AND i.raw_keys @> %(raw_keys)s::text[]
))
ON CONFLICT (import_id) DO UPDATE SET
  ended_at = EXCLUDED.ended_at, raw_keys = EXCLUDED.raw_keys, counts = EXCLUDED.counts

-- name: near_streams
-- Streams near the plays of responses: those that can be merged, and those between them, which bound
-- when each can have begun.
SELECT s.user_id, s.ended_at, s.ms_played, s.place, s.track_id, s.to_the_minute,
  s.played_at AT TIME ZONE 'UTC', s.outcome, s.platform,
  coalesce(s.track_name, e.name, ''), coalesce(s.artist_name, e.artist, ''), s.reported_at
FROM unnest(%(users)s::integer[], %(oldest)s::timestamptz[], %(newest)s::timestamptz[])
  r (user_id, oldest, newest)
JOIN songswap.streams s ON s.user_id = r.user_id
  AND s.ended_at BETWEEN r.oldest - interval '12 hours 2 minutes' AND r.newest + interval '1 day'
  -- The end of an offline phone's stream is the earliest possible: pauses lie after it.
  AND coalesce(s.reported_at, s.ended_at) >= r.oldest - interval '2 minutes'
LEFT JOIN songswap.export_tracks e ON e.id = s.track_id

-- name: mark_merged
-- The track of account data was a guess, or NULL: the API knows it.
UPDATE songswap.streams s SET outcome = 'merged', played_at = m.played_at AT TIME ZONE 'UTC',
  track_id = CASE WHEN s.to_the_minute THEN m.track_id ELSE s.track_id END
FROM unnest(%(users)s::integer[], %(ended_at)s::timestamptz[], %(ms_played)s::integer[],
  %(places)s::smallint[], %(played_at)s::timestamptz[], %(track_ids)s::text[])
  m (user_id, ended_at, ms_played, place, played_at, track_id)
WHERE (s.user_id, s.ended_at, s.ms_played, s.place)
  = (m.user_id, m.ended_at, m.ms_played, m.place)

-- name: delete_plays
-- Plays of streams that are plays of the API, or no plays at all.
DELETE FROM "History" h
USING unnest(%(users)s::integer[], %(played_at)s::timestamptz[]) d (user_id, played_at)
WHERE h.user_id = d.user_id AND h.played_at = d.played_at AT TIME ZONE 'UTC'
