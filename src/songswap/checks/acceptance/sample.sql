-- The rows of a sample, by the exact ids of its tracks and artists and by the test user.

-- name: user_taken
-- A real user with the id, e-mail or Spotify id of the test user.
SELECT id FROM "Users"
WHERE (id = %(user_id)s OR email = %(email)s OR spotify_id = %(spotify_id)s)
  AND (id, username, email, spotify_id)
    IS DISTINCT FROM (%(user_id)s, %(username)s, %(email)s, %(spotify_id)s)

-- name: insert_user
INSERT INTO "Users" (id, username, email, spotify_id) OVERRIDING SYSTEM VALUE
VALUES (%(user_id)s, %(username)s, %(email)s, %(spotify_id)s)

-- name: insert_tracks
-- As a load leaves tracks that its response names only by id.
INSERT INTO "Tracks" (id, name, duration_ms) SELECT unnest(%(requested)s::text[]), '', 0

-- name: insert_artists
INSERT INTO "Artists" (id, name) SELECT unnest(%(requested)s::text[]), ''

-- name: insert_wanted
-- not_before never comes: no hourly run and no backfill requests them.
INSERT INTO songswap.enrichment_queue (kind, id, queued_at, not_before)
SELECT kind, id, %(at)s, 'infinity'
FROM unnest(%(kinds)s::text[]) kind, unnest(%(requested)s::text[]) id

-- name: delete_user
DELETE FROM "Users"
WHERE id = %(user_id)s AND username = %(username)s AND email = %(email)s
  AND spotify_id = %(spotify_id)s

-- name: delete_tracks
DELETE FROM "Tracks" WHERE id = ANY (%(tracks)s)

-- name: delete_artists
DELETE FROM "Artists" WHERE id = ANY (%(artists)s)

-- name: delete_metadata
DELETE FROM songswap.enrichment_queue WHERE id = ANY (%(ids)s)

-- name: delete_notes
DELETE FROM songswap.data_fixes WHERE id = ANY (%(ids)s)

-- name: delete_track_forms
DELETE FROM songswap.track_forms WHERE id = ANY (%(tracks)s)
