-- The rows, and the platform's queries with its joins. A query of several statements has a
-- semicolon between them.

-- name: catalogue
-- 40,000 artists, of whom a few have most tracks, and 200,000 tracks, the most played first.
SELECT setseed(0.5);
INSERT INTO "Users" SELECT n, n::text, n::text, n::text FROM generate_series(1, 2000) n;
INSERT INTO "Artists"
SELECT left(md5('artist' || n), 22), 'The Artist number ' || n FROM generate_series(0, 39999) n;
INSERT INTO "Tracks"
SELECT left(md5('track' || n), 22), 'The song that is number ' || n, 120000 + 180000 * random()
FROM generate_series(0, 199999) n;
INSERT INTO "ArtistTracks"
SELECT left(md5('track' || n), 22), left(md5('artist' || (lead + guest * 7919) % 40000), 22),
  guest = 0
FROM (
  SELECT n, floor(40000 * random() ^ 1.5)::integer AS lead, random() AS draw
  FROM generate_series(0, 199999) n
) t
CROSS JOIN LATERAL generate_series(0, (draw > 0.78)::integer + (draw > 0.95)::integer) guest;
INSERT INTO "TrackImages"
SELECT left(md5('track' || n), 22), side, side,
  'https://i.scdn.co/image/ab67616d0000' || left(md5('image' || n || ' ' || side), 28)
FROM generate_series(0, 199999) n CROSS JOIN unnest('{640, 300, 64}'::integer[]) side
WHERE n % 50 <> 0;
INSERT INTO "TrackPreviews"
SELECT left(md5('track' || n), 22), 'https://p.scdn.co/mp3-preview/' || md5('preview' || n)
FROM generate_series(0, 199999) n WHERE n % 10 = 0;

-- A track that one of the simulator's listeners would play: mostly from a library of 30 to 300
-- tracks, else by its share of all plays, from which the track's number follows.
CREATE FUNCTION heard(listener bigint) RETURNS text LANGUAGE sql VOLATILE RETURN
left(md5('track' || floor(20 * (10001 ^ CASE WHEN random() < 0.6
  THEN (listener * 7548777 + floor((30 + listener % 271) * random() ^ 2)::bigint * 6180340)
    % 10000000 / 1e7::float
  ELSE random()
END - 1))::integer), 22);

-- name: indexes_of_history
-- For the key and each other index: a statement that drops it and one that recreates it.
SELECT format('ALTER TABLE "History" DROP CONSTRAINT %I', conname),
  format('ALTER TABLE "History" ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid))
FROM pg_constraint WHERE conrelid = '"History"'::regclass AND contype = 'p'
UNION ALL
SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
FROM pg_index WHERE indrelid = '"History"'::regclass AND NOT indisprimary

-- name: drop_all_but_keys
-- Also removes the columns that keys include.
DO $$
DECLARE index regclass;
BEGIN
  FOR index IN
    SELECT i.indexrelid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relnamespace = 'public'::regnamespace
      AND NOT EXISTS (
        SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND contype IN ('p', 'u')
      )
  LOOP
    EXECUTE format('DROP INDEX %s', index);
  END LOOP;
END $$;
ALTER TABLE "ArtistTracks" DROP CONSTRAINT "ArtistTracks_pkey",
  ADD PRIMARY KEY (track_id, artist_id)

-- name: plays
-- Each load leaves four adjacent plays of every user, and the next load's follow them.
INSERT INTO "History"
SELECT 1 + n / 4 %% 2000,
  timestamp '2024-01-01' + n / 8000 * interval '14 hours' + n %% 4 * interval '210.123 seconds',
  heard(1 + n / 4 %% 2000)
FROM generate_series(0, %(plays)s - 1) n

-- name: load
-- 25,000 new plays, in the order of the hourly load.
INSERT INTO "History"
SELECT 1 + n * 2 / 25,
  timestamp '2027-01-01' + %(hour)s * interval '1 hour' + n %% 13 * interval '210.123 seconds',
  heard(1 + n * 2 / 25)
FROM generate_series(0, 24999) n
ON CONFLICT DO NOTHING

-- name: top_tracks_of_user
SELECT h.track_id, t.name, a.name, count(h.track_id), t.duration_ms, i.url, p.url
FROM "History" h
JOIN "Tracks" t ON t.id = h.track_id
JOIN "ArtistTracks" l ON l.track_id = t.id
JOIN "Artists" a ON a.id = l.artist_id
LEFT JOIN LATERAL (
  SELECT url FROM "TrackImages" WHERE id = t.id ORDER BY width DESC LIMIT 1
) i ON true
LEFT JOIN "TrackPreviews" p ON p.id = t.id
WHERE h.user_id = %(user)s AND l.is_primary
GROUP BY h.track_id, t.name, a.name, t.duration_ms, i.url, p.url
ORDER BY count(h.track_id) DESC LIMIT 50

-- name: top_tracks_of_user_widths_grouped
-- The query of the platform's insights API: no index spares it the widths of all images.
SELECT h.track_id, t.name, a.name, count(h.track_id), t.duration_ms, i.url, p.url
FROM "History" h
JOIN "Tracks" t ON t.id = h.track_id
JOIN "ArtistTracks" l ON l.track_id = t.id
JOIN "Artists" a ON a.id = l.artist_id
LEFT JOIN (SELECT id, max(width) AS width FROM "TrackImages" GROUP BY id) w ON w.id = t.id
LEFT JOIN "TrackImages" i ON i.id = w.id AND i.width = w.width
LEFT JOIN "TrackPreviews" p ON p.id = t.id
WHERE h.user_id = %(user)s AND l.is_primary
GROUP BY h.track_id, t.name, a.name, t.duration_ms, i.url, p.url
ORDER BY count(h.track_id) DESC LIMIT 50

-- name: top_artists_of_user
SELECT a.id, a.name, count(h.track_id)
FROM "Artists" a
JOIN "ArtistTracks" l ON l.artist_id = a.id
JOIN "Tracks" t ON t.id = l.track_id
JOIN "History" h ON h.track_id = t.id
WHERE h.user_id = %(user)s
GROUP BY a.id, a.name
ORDER BY count(h.track_id) DESC LIMIT 50

-- name: totals_of_user
SELECT count(*) FROM "History" WHERE user_id = %(user)s;
SELECT count(*) FROM (
  SELECT track_id FROM "History" WHERE user_id = %(user)s GROUP BY track_id
) d;
SELECT sum(t.duration_ms) FROM "History" h JOIN "Tracks" t ON t.id = h.track_id
WHERE h.user_id = %(user)s

-- name: top_tracks
SELECT t.name, a.name, count(h.track_id)
FROM "History" h
JOIN "Tracks" t ON t.id = h.track_id
JOIN "ArtistTracks" l ON l.track_id = t.id
JOIN "Artists" a ON a.id = l.artist_id
WHERE l.is_primary
GROUP BY h.track_id, t.name, a.name
ORDER BY count(h.track_id) DESC LIMIT 50

-- name: top_artists
SELECT a.name, count(h.track_id)
FROM "Artists" a
JOIN "ArtistTracks" l ON l.artist_id = a.id
JOIN "Tracks" t ON t.id = l.track_id
JOIN "History" h ON h.track_id = t.id
WHERE l.is_primary
GROUP BY a.name
ORDER BY count(h.track_id) DESC LIMIT 50

-- name: totals
SELECT count(*) FROM "History";
SELECT count(*) FROM (SELECT track_id FROM "History" GROUP BY track_id) d;
SELECT sum(t.duration_ms) FROM "History" h JOIN "Tracks" t ON t.id = h.track_id
