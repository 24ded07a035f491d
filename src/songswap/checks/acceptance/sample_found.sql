-- The sample's rows in each table; a statement has its table's name. Separate from production's
-- statements, because the loads are checked with these.

-- name: Users
SELECT id, username, email, spotify_id FROM "Users" WHERE id = %(user_id)s

-- name: History
SELECT user_id, played_at AT TIME ZONE 'UTC', track_id FROM "History"
WHERE user_id = %(user_id)s OR track_id = ANY (%(tracks)s)

-- name: Tracks
SELECT id, name, duration_ms FROM "Tracks" WHERE id = ANY (%(tracks)s)

-- name: Artists
SELECT id, name FROM "Artists" WHERE id = ANY (%(artists)s)

-- name: ArtistTracks
SELECT track_id, artist_id, is_primary FROM "ArtistTracks"
WHERE track_id = ANY (%(tracks)s) OR artist_id = ANY (%(artists)s)

-- name: TrackPopularity
SELECT id, date AT TIME ZONE 'UTC', popularity FROM "TrackPopularity" WHERE id = ANY (%(tracks)s)

-- name: TrackImages
SELECT id, height, width, url FROM "TrackImages" WHERE id = ANY (%(tracks)s)

-- name: TrackPreviews
SELECT id, url FROM "TrackPreviews" WHERE id = ANY (%(tracks)s)

-- name: TrackFeatures
SELECT id, acousticness, danceability, energy, instrumentalness, key, liveness, loudness, mode,
  speechiness, tempo, time_signature, valence
FROM "TrackFeatures" WHERE id = ANY (%(tracks)s)

-- name: ArtistPopularity
SELECT id, date AT TIME ZONE 'UTC', popularity FROM "ArtistPopularity" WHERE id = ANY (%(artists)s)

-- name: ArtistFollowers
SELECT id, date AT TIME ZONE 'UTC', followers FROM "ArtistFollowers" WHERE id = ANY (%(artists)s)

-- name: ArtistImages
SELECT id, height, width, url FROM "ArtistImages" WHERE id = ANY (%(artists)s)

-- name: ArtistGenres
SELECT id, genre FROM "ArtistGenres" WHERE id = ANY (%(artists)s)

-- name: metadata
-- An hourly run or a backfill may meanwhile request what the load has queued. Its result does not
-- count: only responses at the sample's own time do, and misses of ids that nobody else requests.
SELECT kind, id, answered_at IS NOT DISTINCT FROM %(at)s AND known IS TRUE,
  misses = 1 AND not_before = 'infinity'
FROM songswap.enrichment_queue WHERE id = ANY (%(ids)s)

-- name: notes
SELECT kind, id, field, problem FROM songswap.data_fixes WHERE id = ANY (%(ids)s)

-- name: polls
SELECT user_id, polled_at, answered_at, newest_played_at, problem FROM songswap.polls
WHERE user_id = %(user_id)s

-- name: rejected_items
SELECT user_id, reason, played_at FROM songswap.rejected_items WHERE user_id = %(user_id)s

-- name: gaps
SELECT user_id, after, before FROM songswap.gaps WHERE user_id = %(user_id)s
