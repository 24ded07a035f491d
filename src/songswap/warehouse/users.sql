-- Users and their tokens, as the web app writes them.

-- name: upsert_user
-- An existing user keeps the name that the platform shows, unless another one is given.
INSERT INTO "Users" (username, email, spotify_id)
VALUES (%(username)s, %(email)s, %(spotify_id)s)
ON CONFLICT (spotify_id) DO UPDATE SET
  username = CASE WHEN %(is_named)s THEN EXCLUDED.username ELSE "Users".username END
RETURNING id, username

-- name: upsert_tokens
-- A new authorization replaces the tokens of the one before.
INSERT INTO "SpotifyTokens" (id, access_token, refresh_token)
VALUES (%(user_id)s, %(access_token)s, %(refresh_token)s)
ON CONFLICT (id) DO UPDATE SET
  access_token = EXCLUDED.access_token, refresh_token = EXCLUDED.refresh_token

-- name: existing
-- Those of these users who have a row.
SELECT id FROM "Users" WHERE id = ANY (%(ids)s)

-- name: rows
-- Users to be copied, with their ids.
SELECT id, username, email, spotify_id FROM "Users" WHERE id = ANY (%(ids)s) ORDER BY id

-- name: insert_copy
-- With the id of the other warehouse, even where the column is GENERATED ALWAYS.
INSERT INTO "Users" (id, username, email, spotify_id)
OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s, %s)
ON CONFLICT DO NOTHING

-- name: advance_ids
-- The next user who signs up gets an id that no copied user has.
SELECT setval(pg_get_serial_sequence('"Users"', 'id'), max(id)) FROM "Users" HAVING max(id) > 0
