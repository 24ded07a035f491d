-- How the warehouse stands.

-- name: users
SELECT count(*), count(t.id) FROM "Users" u LEFT JOIN "SpotifyTokens" t ON t.id = u.id

-- name: plays
SELECT count(*), max(played_at) AT TIME ZONE 'UTC' FROM "History"

-- name: last_run
SELECT run_id, state, started_at FROM songswap.runs ORDER BY started_at DESC LIMIT 1

-- name: tracks
SELECT (SELECT count(*) FROM "Tracks"), json_build_object(
  'images', (SELECT count(DISTINCT id) FROM "TrackImages"),
  'popularity', (SELECT count(DISTINCT id) FROM "TrackPopularity"),
  'features', (SELECT count(*) FROM "TrackFeatures"),
  'preview', (SELECT count(*) FROM "TrackPreviews")
)

-- name: artists
SELECT (SELECT count(*) FROM "Artists"), json_build_object(
  'images', (SELECT count(DISTINCT id) FROM "ArtistImages"),
  'popularity', (SELECT count(DISTINCT id) FROM "ArtistPopularity"),
  'followers', (SELECT count(DISTINCT id) FROM "ArtistFollowers"),
  'genres', (SELECT count(DISTINCT id) FROM "ArtistGenres")
)

-- name: troubles
SELECT (SELECT count(*) FROM songswap.gaps WHERE closed_at IS NULL),
  (SELECT count(*) FROM songswap.set_aside)

-- name: requests
-- Of all apps together; what was learned of the one of which the least is known to be taken.
SELECT
  (SELECT coalesce(sum(requests), 0) FROM songswap.requests
   WHERE span = 'hour' AND at > %(now)s - interval '1 day'),
  min(per_window), min(per_day)
FROM songswap.budgets
