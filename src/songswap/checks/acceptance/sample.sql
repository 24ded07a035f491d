-- The rows of a sample: by the exact ids of its tracks and artists, and by the one test user.

-- name: user_taken
-- Somebody who stands where the test user would stand, and is not the test user.
SELECT id FROM "Users"
WHERE (id = %(user_id)s OR email = %(email)s OR spotify_id = %(spotify_id)s)
  AND (id, username, email, spotify_id)
    IS DISTINCT FROM (%(user_id)s, %(username)s, %(email)s, %(spotify_id)s)

-- name: insert_user
INSERT INTO "Users" (id, username, email, spotify_id) OVERRIDING SYSTEM VALUE
VALUES (%(user_id)s, %(username)s, %(email)s, %(spotify_id)s)

-- name: insert_tracks
-- As an answer leaves them that told nothing of them.
INSERT INTO "Tracks" (id, name, duration_ms) SELECT unnest(%(asked)s::text[]), '', 0

-- name: insert_artists
INSERT INTO "Artists" (id, name) SELECT unnest(%(asked)s::text[]), ''

-- name: insert_wanted
-- Nobody else asks Spotify for them, an hourly run or a backfill: not_before never comes.
INSERT INTO songswap.enrichment_queue (kind, id, queued_at, not_before)
SELECT kind, id, %(at)s, 'infinity'
FROM unnest(%(kinds)s::text[]) kind, unnest(%(asked)s::text[]) id

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
