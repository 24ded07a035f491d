-- A warehouse of ten thousand listeners at 2026-11-20 12:00 UTC, and the statements that others are
-- compared with.

-- name: rows
-- Three tracks of a hundred lack features, two images; each artist and every third track has thirty days
-- of popularity.
INSERT INTO "Users" SELECT n, n::text, n::text, n::text FROM generate_series(1, %(users)s) n;
INSERT INTO "SpotifyTokens" SELECT n, 'a' || n, 'r' || n FROM generate_series(1, %(users)s) n;
INSERT INTO "Artists" SELECT left(md5('artist' || n), 22), 'Artist ' || n
FROM generate_series(1, %(tracks)s / 5) n;
INSERT INTO "Tracks" SELECT left(md5('track' || n), 22), 'Track ' || n, 180000
FROM generate_series(1, %(tracks)s) n;
INSERT INTO "TrackFeatures"
SELECT left(md5('track' || n), 22), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
FROM generate_series(1, %(tracks)s) n WHERE n %% 100 > 2;
INSERT INTO "TrackImages"
SELECT left(md5('track' || n), 22), side, side, 'https://i.scdn.co/image/ab67616d0000' || md5(n::text)
FROM generate_series(1, %(tracks)s) n CROSS JOIN unnest('{640, 300, 64}'::integer[]) side
WHERE n %% 100 > 1;
INSERT INTO "TrackPreviews" SELECT left(md5('track' || n), 22), 'https://p.scdn.co/' || md5(n::text)
FROM generate_series(1, %(tracks)s) n WHERE n %% 10 = 0;
INSERT INTO "TrackPopularity"
SELECT left(md5('track' || n), 22), timestamp '2026-10-20' + day * interval '1 day', n %% 100
FROM generate_series(1, %(tracks)s) n CROSS JOIN generate_series(1, 30) day
WHERE day = 1 OR n %% 3 = 0;
INSERT INTO "ArtistImages"
SELECT left(md5('artist' || n), 22), side, side, 'https://i.scdn.co/image/' || md5(n::text)
FROM generate_series(1, %(tracks)s / 5) n CROSS JOIN unnest('{640, 320, 160}'::integer[]) side;
INSERT INTO "ArtistPopularity"
SELECT left(md5('artist' || n), 22), timestamp '2026-10-20' + day * interval '1 day', n %% 100
FROM generate_series(1, %(tracks)s / 5) n CROSS JOIN generate_series(1, 30) day;
INSERT INTO "ArtistFollowers"
SELECT left(md5('artist' || n), 22), timestamp '2026-10-20' + day * interval '1 day', n
FROM generate_series(1, %(tracks)s / 5) n CROSS JOIN generate_series(1, 30) day;
INSERT INTO "ArtistGenres" SELECT left(md5('artist' || n), 22), genre
FROM generate_series(1, %(tracks)s / 5) n CROSS JOIN unnest('{rock, pop}'::text[]) genre
WHERE n %% 3 > 0;
INSERT INTO songswap.polls
  (user_id, polled_at, answered_at, newest_played_at, plays_per_hour, first_answered_at)
SELECT n, %(now)s, %(now)s - n %% 97 * interval '1 minute', %(now)s - interval '3 hours', 4,
  '2026-01-01Z'
FROM generate_series(1, %(users)s) n;
INSERT INTO songswap.grants (user_id, refresh_digest, authorized_at, refreshed_at)
SELECT n, sha256(convert_to('r' || n, 'UTF8')), %(now)s - n %% 170 * interval '1 day', %(now)s
FROM generate_series(1, %(users)s) n;
INSERT INTO songswap.gaps (user_id, after, before, found_at, run_id, closed_at)
SELECT n, %(now)s - interval '3 hours', %(now)s - interval '2 hours', %(now)s - interval '1 hour', 'r',
  CASE WHEN n %% 2 = 0 THEN %(now)s END
FROM generate_series(1, %(users)s) n WHERE n %% 5 = 0;
INSERT INTO songswap.imports
SELECT 'import ' || n, n, %(now)s - n * interval '1 minute', %(now)s - n * interval '1 minute',
  ARRAY['history/export/user' || n], '{"rows": 100000, "loaded": 90000, "short": 10000}'
FROM generate_series(1, %(users)s) n WHERE n %% 5 = 0;
INSERT INTO songswap.runs (run_id, started_at, ended_at, state, counts)
SELECT 'scheduled__' || n, %(now)s - n * interval '1 hour', %(now)s - n * interval '50 minutes', 'success',
  '{"plays": 25000, "polled": 10000, "answered": 5000}'
FROM generate_series(1, 8760) n;
INSERT INTO songswap.steps (run_id, step, number, state, ended_at, outcomes)
SELECT 'scheduled__' || n, step, number, 'done', %(now)s, (
  SELECT jsonb_object_agg(1000 * number + u, 'answered') FROM generate_series(1, 1000) u
)
FROM generate_series(1, 240) n CROSS JOIN generate_series(0, 9) number
CROSS JOIN unnest('{fetch, load}'::text[]) step

-- name: plays
-- Each load leaves four adjacent plays of every user, and the next load's follow them.
ALTER TABLE "History" DROP CONSTRAINT "History_pkey";
DROP INDEX songswap_history_track_id;
INSERT INTO "History"
SELECT 1 + n / 4 %% %(users)s, timestamp '2026-11-20 11:50' - (n / 4 / %(users)s) * interval '31104 seconds'
    - (n / 4 %% %(users)s * 7919 %% 30000) * interval '1 second' - n %% 4 * interval '210.123 seconds',
  left(md5('track' || 1 + floor(%(tracks)s * random() ^ 3)), 22)
FROM generate_series(0, %(plays)s - 1) n;
ALTER TABLE "History" ADD CONSTRAINT "History_pkey" PRIMARY KEY (user_id, played_at) INCLUDE (track_id);
CREATE INDEX songswap_history_track_id ON "History" (track_id)

-- name: plays_of_48_hours
-- Without the way by users.
SELECT date_trunc('hour', played_at), count(*) FROM "History"
WHERE user_id <> 0 AND played_at >= %(now)s::timestamp - interval '48 hours' GROUP BY 1

-- name: coverage
-- By all rows of each table.
SELECT (SELECT count(DISTINCT id) FROM "TrackImages"), (SELECT count(DISTINCT id) FROM "TrackPopularity"),
  (SELECT count(DISTINCT id) FROM "ArtistImages"), (SELECT count(DISTINCT id) FROM "ArtistPopularity"),
  (SELECT count(DISTINCT id) FROM "ArtistFollowers"), (SELECT count(DISTINCT id) FROM "ArtistGenres")
