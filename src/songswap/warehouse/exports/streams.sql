-- What users' exports tell. Under the same lock as all loads, see history.sql.

-- name: known
SELECT s.ended_at, s.ms_played, s.track_id, coalesce(s.track_name, e.name),
  coalesce(s.artist_name, e.artist), s.incognito, s.platform, s.to_the_minute, s.place,
  s.outcome, s.played_at AT TIME ZONE 'UTC', s.reported_at
FROM songswap.streams s LEFT JOIN songswap.export_tracks e ON e.id = s.track_id
WHERE s.user_id = %(user_id)s AND s.ended_at BETWEEN %(since)s AND %(until)s

-- name: plays
-- The user's plays, and what the stream that each is has become, NULL where it is none.
SELECT h.played_at AT TIME ZONE 'UTC', h.track_id, s.outcome
FROM "History" h
LEFT JOIN songswap.streams s ON s.user_id = h.user_id AND s.played_at = h.played_at
WHERE h.user_id = %(user_id)s
  AND h.played_at BETWEEN (%(since)s AT TIME ZONE 'UTC') AND (%(until)s AT TIME ZONE 'UTC')

-- name: user
SELECT spotify_id FROM "Users" WHERE id = %(user_id)s

-- name: names
SELECT t.id, t.name, a.name
FROM "Tracks" t
JOIN "ArtistTracks" l ON l.track_id = t.id AND l.is_primary
JOIN "Artists" a ON a.id = l.artist_id
WHERE t.id = ANY (%(ids)s) AND t.name <> '' AND a.name <> ''

-- name: identify
-- The tracks that go by a name and an artist's, as exports or Spotify tell them, and how often the user
-- played each.
WITH wanted AS (
  SELECT name, artist FROM unnest(%(names)s::text[], %(artists)s::text[]) w (name, artist)
), found AS (
  SELECT w.name, w.artist, e.id FROM wanted w
  JOIN songswap.export_tracks e ON e.name = w.name AND e.artist = w.artist
  UNION
  SELECT w.name, w.artist, t.id FROM wanted w
  JOIN "Tracks" t ON t.name = left(w.name, 240)
  JOIN "ArtistTracks" l ON l.track_id = t.id AND l.is_primary
  JOIN "Artists" a ON a.id = l.artist_id AND a.name = left(w.artist, 120)
)
SELECT f.name, f.artist, f.id,
  (SELECT count(*) FROM "History" h WHERE h.user_id = %(user_id)s AND h.track_id = f.id)
FROM found f

-- name: delete
DELETE FROM songswap.streams s
USING unnest(%(ended_at)s::timestamptz[], %(ms_played)s::integer[], %(places)s::smallint[])
  d (ended_at, ms_played, place)
WHERE s.user_id = %(user_id)s
  AND (s.ended_at, s.ms_played, s.place) = (d.ended_at, d.ms_played, d.place)

-- name: correct
-- A play that was made of names alone turns out to be of another track of these names.
UPDATE "History" h SET track_id = c.track_id
FROM unnest(%(played_at)s::timestamptz[], %(track_ids)s::text[]) c (played_at, track_id)
WHERE h.user_id = %(user_id)s AND h.played_at = c.played_at AT TIME ZONE 'UTC'
  AND h.track_id <> c.track_id

-- name: insert_names
INSERT INTO songswap.export_tracks AS e (id, name, artist, album, duration_ms)
SELECT id, name, artist, album, duration_ms
FROM unnest(%(ids)s::text[], %(names)s::text[], %(artists)s::text[], %(albums)s::text[],
  %(durations)s::integer[]) s (id, name, artist, album, duration_ms)
ORDER BY id
-- Of what exports tell differently the larger stands, whichever came first.
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

-- name: close_gaps
-- An export lists what a user played without a hole, in the time from its first to its last row.
UPDATE songswap.gaps g SET closed_at = %(now)s
FROM unnest(%(oldest)s::timestamptz[], %(newest)s::timestamptz[]) e (oldest, newest)
WHERE g.user_id = %(user_id)s AND g.closed_at IS NULL
  AND e.oldest <= g.after AND e.newest >= g.before

-- name: insert_import
-- The replay of an import that is noted is not noted again.
INSERT INTO songswap.imports (import_id, user_id, started_at, ended_at, raw_keys, counts)
SELECT %(run_id)s, %(user_id)s, %(now)s, clock_timestamp(), %(raw_keys)s, %(counts)s
WHERE NOT (%(is_replay)s AND EXISTS (
  SELECT FROM songswap.imports i WHERE (i.user_id, i.started_at) = (%(user_id)s, %(now)s)
))
ON CONFLICT (import_id) DO UPDATE SET
  ended_at = EXCLUDED.ended_at, raw_keys = EXCLUDED.raw_keys, counts = EXCLUDED.counts

-- name: near
-- Streams of which plays were made, or are once their track can be told, where the API tells plays
-- now; and those between, which say when each can have begun.
SELECT s.user_id, s.ended_at, s.ms_played, s.place, s.track_id, s.to_the_minute,
  s.played_at AT TIME ZONE 'UTC', s.outcome, s.platform,
  coalesce(s.track_name, e.name, ''), coalesce(s.artist_name, e.artist, ''), s.reported_at
FROM unnest(%(users)s::integer[], %(oldest)s::timestamptz[], %(newest)s::timestamptz[])
  a (user_id, oldest, newest)
JOIN songswap.streams s ON s.user_id = a.user_id
  AND s.ended_at BETWEEN a.oldest - interval '12 hours 2 minutes' AND a.newest + interval '1 day'
  -- Of an offline phone's the end is the earliest: pauses lie after it.
  AND coalesce(s.reported_at, s.ended_at) >= a.oldest - interval '2 minutes'
LEFT JOIN songswap.export_tracks e ON e.id = s.track_id

-- name: merge
-- The track of account data was a guess, or none.
UPDATE songswap.streams s SET outcome = 'merged', played_at = m.told AT TIME ZONE 'UTC',
  track_id = CASE WHEN s.to_the_minute THEN m.track_id ELSE s.track_id END
FROM unnest(%(users)s::integer[], %(ended_at)s::timestamptz[], %(ms_played)s::integer[],
  %(places)s::smallint[], %(told)s::timestamptz[], %(track_ids)s::text[])
  m (user_id, ended_at, ms_played, place, told, track_id)
WHERE (s.user_id, s.ended_at, s.ms_played, s.place)
  = (m.user_id, m.ended_at, m.ms_played, m.place)

-- name: delete_plays
DELETE FROM "History" h
USING unnest(%(users)s::integer[], %(held)s::timestamptz[]) m (user_id, held)
WHERE h.user_id = m.user_id AND h.played_at = m.held AT TIME ZONE 'UTC'
