-- A warehouse of a user with many plays and streams, and of others.

-- name: rows
-- The user is the first one; a play each minute.
INSERT INTO "Users" SELECT n, n::text, n::text, n::text FROM generate_series(1, %(others)s + 1) n;
INSERT INTO "SpotifyTokens" SELECT id, 'a' || id, 'r' || id FROM "Users";
INSERT INTO songswap.polls (user_id, polled_at) SELECT id, now() FROM "Users";
INSERT INTO "Tracks" SELECT left(md5('track' || n), 22), 'Track ' || n, 180000
FROM generate_series(0, 999) n;
INSERT INTO "History"
SELECT 1, timestamp '2020-01-01' + n * interval '1 minute', left(md5('track' || n %% 1000), 22)
FROM generate_series(1, %(plays)s) n;
INSERT INTO songswap.streams
  (user_id, ended_at, ms_played, place, played_at, outcome, to_the_minute, track_id)
SELECT 1, timestamptz '2020-01-01 UTC' + n * interval '1 minute', 180000, 0,
  timestamp '2020-01-01' + n * interval '1 minute', 'loaded', false, left(md5('track' || n %% 1000), 22)
FROM generate_series(1, %(plays)s) n;
INSERT INTO "History"
SELECT u + 1, timestamp '2020-01-01' + n * interval '1 minute', left(md5('track' || n %% 1000), 22)
FROM generate_series(1, %(plays_of_others)s) n CROSS JOIN generate_series(1, %(others)s) u
